"""What a text from outside means that is to say yes or no: a variable, a setting, a field of a form.

Owns the spellings, which are those of pydantic and so of the settings that it reads. Anything else is refused: a switch
that takes an unknown word for "no" does the opposite of what half of its users meant.
"""

from __future__ import annotations

TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE = frozenset({"false", "f", "no", "n", "off", "0"})


def meaning(text: str) -> bool | None:
    """True or False, in whatever case it is written; None where the text says neither."""
    word = text.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def read_switch(name: str, text: str | None, *, default: bool) -> bool:
    """What the text says; `default` where there is none. Raises ValueError with the name and what can be said."""
    if text is None or not text.strip():
        return default
    said = meaning(text)
    if said is None:
        raise ValueError(f"{name}={text!r} is neither true nor false (also: yes or no, on or off, 1 or 0)")
    return said
