"""Which addresses the parameters of a run may name: files below the data roots, and what lies in the snapshots' store.

Owns the judgement alone; opens nothing. Whoever starts a run writes its parameters, and a worker reaches more than
they do: its owner's files, and every service of its network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from fsspec.core import split_protocol, strip_protocol

from factory.errors import AddressRefused
from factory.settings import Settings

_LOCAL = (None, "file", "local")
_SPELLINGS = {"s3a": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs"}
"""Names that fsspec takes for one protocol, by the one that it writes itself."""
_SHOWN_CHARACTERS = 300


def admitted(settings: Settings, address: str) -> str:
    """What to open for an address that a parameter names; of a local file the path without any symbolic link.

    Raises AddressRefused unless it lies below DATA_ROOTS or SNAPSHOT_URI.
    """
    return admitted_below((*settings.data_roots, settings.snapshot_uri), address)


def admitted_below(roots: Sequence[str], address: str) -> str:
    """The same for an address below one of these folders or fsspec addresses."""
    if "::" in address or "\0" in address:
        raise AddressRefused(f"{_shown(address)} is refused: a parameter names one file, not a way through others.")
    if split_protocol(address)[0] in _LOCAL:
        path = _real(address)
        if any(path.is_relative_to(_real(root)) for root in roots if split_protocol(root)[0] in _LOCAL):
            return _plain_file(path)
    elif any(_lies_below(root, address) for root in roots if split_protocol(root)[0] not in _LOCAL):
        return address
    raise AddressRefused(
        f"{_shown(address)} is refused: what is read has to lie below {', '.join(roots) or 'a data root'}. "
        "Put the file there, or add its place to DATA_ROOTS in the environment of the worker (folders and fsspec "
        "addresses, separated by commas)."
    )


def without_credentials(text: str, address: str = "") -> str:
    """The text without what stands before an address' host, and without the password of this address."""
    userinfo = re.search(r"//([^/\s]*)@", address)
    password = userinfo[1].partition(":")[2] if userinfo else ""
    for each in filter(None, {password, unquote(password)}):
        text = text.replace(each, "…")
    return re.sub(r"//[^/\s]*@", "//…@", text)


def _real(address: str) -> Path:
    """Where the local address leads, through `~`, `..` and links; nothing has to stand there."""
    return Path(os.path.realpath(strip_protocol(address)))


def _plain_file(path: Path) -> str:
    if "::" in str(path):  # fsspec would take it for a chain
        raise AddressRefused(f"{_shown(str(path))} is refused: '::' in a path cannot be opened. Rename the folder.")
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 - False where nobody may look
        raise AddressRefused(f"{_shown(str(path))} is refused: it is no plain file. Name a file.")
    return str(path)


def _lies_below(root: str, address: str) -> bool:
    """Compared as text, host, port and bucket included."""
    protocol, place = split_protocol(root)
    theirs, asked = split_protocol(address)
    if _SPELLINGS.get(theirs, theirs) != _SPELLINGS.get(protocol, protocol):
        return False
    steps = re.split(r"[/\\]", unquote(asked))
    below = asked.lstrip("/").startswith(f"{place.strip('/')}/".lstrip("/"))
    return below and not {".", ".."} & set(steps)


def _shown(address: str) -> str:
    """The address for a message: no password, no control character, no end without end."""
    shown = repr(without_credentials(address))
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
