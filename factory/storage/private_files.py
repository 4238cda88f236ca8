"""Folders and files on a disk, made for their owner alone: the catalogue and its snapshots hold people's data.

What is there already stays as it is: who shares a folder between two users makes it before.
"""

from __future__ import annotations

from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make the folder, and whichever of those above it is missing, with mode 700. Raises OSError."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def make_file(file: Path) -> None:
    """Make an empty file with mode 600 and the folder that it lies in, unless they are there. Raises OSError."""
    make_folder(file.parent)
    if not file.exists():  # who may only read a file may not touch it either
        file.touch(mode=0o600)
