"""Publishing: readers see the old store or the new one, never something in between."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from ..errors import StoreError
from .connection import Store


def publish(store: Store, target: Path) -> None:
    """Copy the checkpointed working store and move it onto `target` in one step (os.replace).

    Raises StoreError ST106 on a full disk; what was published before stays.
    """
    store.checkpoint()
    for left_by_a_killed_run in target.parent.glob(f".{target.name}.*"):
        left_by_a_killed_run.unlink(missing_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(store.path, fresh)
        with open(fresh, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(fresh, target)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError("ST106", "the disk is full", hint="free some space and run again: the published store is untouched") from error
        raise
