"""One writer at a time, and a message that names the holder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator

from ..errors import StoreError


@contextmanager
def writer_lock(folder: Path, verb: str) -> Iterator[None]:
    """Hold the project's writer lock; released by the kernel when the process ends, however it ends.

    Raises StoreError ST101 when another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                "ST101", f"the store is being written by {_holder(handle)}", hint="wait for it to end, or stop it; readers are not affected"
            ) from None
        handle.seek(0)
        handle.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "verb": verb, "since": _now()}, handle)
        handle.flush()
        yield


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _holder(handle) -> str:
    handle.seek(0)
    try:
        held = json.loads(handle.read())
        return f'process {held["pid"]} on {held["host"]} (groundswell {held["verb"]}, since {held["since"]})'
    except (ValueError, KeyError):
        return "another process"
