"""Affinities and answers on disk, found again by what they were computed from: a killed coding does only what is missing."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, Callable
from zipfile import BadZipFile

import numpy as np

from .. import __version__


class Kept:
    """Arrays in a folder, by name; each is there whole, or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def arrays(self, name: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What `compute` gives, from disk where an earlier run left it. A damaged file counts as missing."""
        path = self.folder / f"{name}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                return dict(found)
        except (OSError, ValueError, BadZipFile, EOFError):
            made = compute()
            replace_file(path, lambda file: np.savez(file, **made))
            return made


class KeptCodings:
    """A folder of Kept, one for everything a computation depends on; `finish` forgets what this coding had no use for."""

    def __init__(self, folder: Path):
        self.folder, self.used = folder, set()

    def of(self, *depends_on: Any) -> Kept:
        """The arrays that are computed from these: texts, numbers and arrays; and by this version of the program."""
        name = digest(__version__, *depends_on)
        self.used.add(name)
        return Kept(self.folder / name)

    def finish(self) -> None:
        """Forget everything but what `of` was asked for."""
        for each in self.folder.iterdir() if self.folder.is_dir() else ():
            if each.name not in self.used:
                shutil.rmtree(each)


def digest(*parts: Any) -> str:
    """32 hex digits of texts, numbers, None and arrays."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(f"{part!r}\n".encode())
    return found.hexdigest()[:32]


def replace_file(path: Path, write: Callable[[Any], None]) -> None:
    """A file that is there whole, or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        write(file)
    os.replace(fresh, path)
