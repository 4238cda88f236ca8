"""The words of simulated products: real French ones at the head of every list, invented ones behind.

Owns which words a class, a family and the whole catalogue use, and how often. Pure; the same on any machine, whatever
the simulation's seed: two simulations are two samples of one world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

FAMILIES: dict[str, dict[str, str]] = {
    "livres": {
        "10": "roman livre broché poche auteur tome traduit récit nouvelle",
        "2280": "magazine revue numéro hebdomadaire journal presse mensuel gazette",
        "2403": "lot collection volumes bd manga intégrale série comics tomes",
        "2705": "essai histoire manuel guide études droit économie philosophie édition",
    },
    "jouets": {
        "1140": "figurine pop statuette funko résine buste héros cinéma",
        "1160": "carte pokémon yu-gi-oh rare holo booster commune deck",
        "1180": "masque déguisement armée miniature warhammer peinture jeu-de-rôle costume",
        "1280": "jouet peluche poupée enfant véhicule garage dînette cuisine",
        "1281": "jeu société plateau cartes dés puzzle joueurs stratégie",
        "1300": "drone maquette avion télécommandé hélice batterie échelle modélisme",
        "1302": "trampoline toboggan trottinette ballon plein-air balançoire cerf-volant pêche",
    },
    "jeux-vidéo": {
        "40": "import japonais nintendo sega cartouche version-us megadrive famicom",
        "50": "manette chargeur housse accessoire console câble-hdmi casque écran",
        "60": "console playstation xbox switch pack go bundle portable",
        "2462": "lot-jeux ps4 ps3 xbox-360 wii occasion compatible jaquette",
        "2905": "téléchargement pc steam clé windows extension dématérialisé contenu",
    },
    "maison": {
        "1560": "meuble table chaise bureau canapé étagère armoire tabouret",
        "1920": "coussin housse taie couette drap rideau linge plaid",
        "2060": "lampe décoration stickers guirlande bougie cadre noël tapis",
        "2522": "papier stylo cahier crayon classeur papeterie enveloppe agenda",
        "1940": "café chocolat thé biscuit épices sucre bonbons capsules",
        "2220": "chien chat collier laisse aquarium croquettes griffoir litière",
    },
    "jardin": {
        "2582": "parasol salon-de-jardin tonnelle hamac transat fauteuil pergola résine-tressée",
        "2583": "piscine pompe filtre chlore bâche robot liner skimmer",
        "2585": "tondeuse perceuse outil scie tuyau arrosage taille-haie gazon",
    },
    "enfance": {
        "1301": "chaussettes body bonnet layette baby-foot naissance pyjama bavoir",
        "1320": "poussette biberon couches sac-à-langer tétine veilleuse siège-auto puériculture",
    },
}  # fmt: skip
"""Type codes and their leading words, by family: invented groupings of Rakuten's published codes."""

COMMON = (
    "de pour et la avec le en à les des un une du lot neuf sur noir blanc rouge bleu couleur taille qualité modèle l'"
    " d' cm mm haute très plus votre vous produit état bon livraison marque dimensions matière facile idéal cadeau"
    " garçon fille homme femme adulte été hiver français européen paris édition spéciale série grand petit mini pièces"
    " boîte garantie utilisation nettoyage léger résistant élégant moderne rétro décor fête anniversaire"
)
VARIANTS = ("noir", "blanc", "rouge", "bleu", "vert", "rose", "xl", "xxl", "grand modèle", "lot de 2", "lot de 5")
_CLASS_WORDS, _FAMILY_WORDS, _COMMON_WORDS = 500, 1_500, 12_000
_ONSETS = (
    "b",
    "c",
    "d",
    "f",
    "g",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "br",
    "ch",
    "cl",
    "cr",
    "dr",
    "fl",
    "gr",
    "pl",
    "tr",
)
_NUCLEI = ["a", "e", "i", "o", "u", "é", "è", "ai", "an", "au", "eau", "en", "eu", "in", "oi", "on", "ou"]
_CODAS = ["", "", "", "", "c", "l", "n", "r", "s", "t", "lle", "que", "tte"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`words` holds every list one after another, and behind them the words that take their places by drift.

    `codes` are the type codes by class number; `siblings` the other class numbers of a class's family.
    """

    words: np.ndarray
    codes: np.ndarray
    siblings: list[list[int]]
    variants: tuple[str, ...]
    _own: np.ndarray
    _family: np.ndarray
    _common: int
    _weights: tuple[np.ndarray, np.ndarray, np.ndarray]
    _order: np.ndarray

    def draw(self, rng: np.random.Generator, kind: np.ndarray, topic: np.ndarray) -> np.ndarray:
        """Places in `words`, one for each kind (0 the class's, 1 the family's, 2 the catalogue's) and class number."""
        starts = np.choose(kind, [self._own[topic], self._family[topic], self._common])
        lots = rng.random(len(kind))
        ranks = [np.searchsorted(weights, lots, side="right") for weights in self._weights]
        return starts + np.choose(kind, ranks)

    def exchange(self, places: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The places, those of them that drift has taken by the given share (0 to 1) exchanged for new words."""
        return np.where(self._order[places] < share, places + len(self._order), places)


def build_vocabulary() -> Vocabulary:
    """The words of all classes; takes some 0.1 s."""
    rng = np.random.default_rng(1789)
    codes = [code for family in FAMILIES.values() for code in family]
    invented = _invented(rng, 2 * (len(codes) * _CLASS_WORDS + len(FAMILIES) * _FAMILY_WORDS + _COMMON_WORDS))
    words: list[str] = []
    own, family_starts, siblings = [], [], []
    for family in FAMILIES.values():
        for head in family.values():
            own.append(len(words))
            words += _filled(head.split(), _CLASS_WORDS, invented)
    for family in FAMILIES.values():
        members = [codes.index(code) for code in family]
        family_starts += [len(words)] * len(members)
        siblings += [[other for other in members if other != member] for member in members]
        # the classes' leading words are the family's too: one of them in a text does not give the class away
        heads = [word for group in zip(*(head.split()[:8] for head in family.values()), strict=True) for word in group]
        words += _filled(heads, _FAMILY_WORDS, invented)
    common = len(words)
    words += _filled(COMMON.split(), _COMMON_WORDS, invented)
    exchanged = [next(invented) for _ in words]
    order = rng.permutation(len(words)) / len(words)
    weights = tuple(_zipf(size) for size in (_CLASS_WORDS, _FAMILY_WORDS, _COMMON_WORDS))
    return Vocabulary(
        words=np.array([*words, *exchanged], dtype=object),
        codes=np.array(codes, dtype=object),
        siblings=siblings,
        variants=VARIANTS,
        _own=np.array(own),
        _family=np.array(family_starts),
        _common=common,
        _weights=(weights[0], weights[1], weights[2]),
        _order=order,
    )


def _filled(head: list[str], size: int, invented: Iterator[str]) -> list[str]:
    return [*head, *(next(invented) for _ in range(size - len(head)))]


def _zipf(size: int) -> np.ndarray:
    """Cumulated shares of ranks by Zipf's law, flattened at the head as Mandelbrot does; the last is 1 or more."""
    weights = 1.0 / (np.arange(size) + 3.0)
    shares: np.ndarray = np.cumsum(weights)[:-1] / weights.sum()
    return shares


def _invented(rng: np.random.Generator, count: int) -> Iterator[str]:
    """Words of two to four syllables that sound French, none of them twice and none that stands in a list."""
    taken = {
        *COMMON.split(),
        *(word for family in FAMILIES.values() for head in family.values() for word in head.split()),
    }
    while True:
        syllables = rng.integers(2, 5, count)
        onsets, nuclei, codas = (rng.integers(0, len(part), (count, 4)) for part in (_ONSETS, _NUCLEI, _CODAS))
        for row in range(count):
            word = "".join(_ONSETS[onsets[row, i]] + _NUCLEI[nuclei[row, i]] for i in range(syllables[row]))
            word += _CODAS[codas[row, 0]]
            if word not in taken:
                taken.add(word)
                yield word
