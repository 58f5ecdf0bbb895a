"""What the device can take: mixed precision, and smaller parts where its memory does not suffice."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any, Callable, ContextManager, Iterator, Protocol, TypeVar

import torch

from ..errors import EndModelError

NO_MEMORY_ON_CPU = "can't allocate memory"

Result = TypeVar("Result")


class Sliceable(Protocol):
    """Rows that can be cut: part(start, stop) are the rows from start up to stop."""

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> Sliceable: ...


def autocast(device: torch.device, precision: str) -> Callable[[], ContextManager]:
    """A maker of contexts in which matrix products run in `precision`; weights, losses and optimiser state stay float32."""
    return nullcontext if precision == "float32" else partial(torch.autocast, device.type, getattr(torch, precision))


def or_out_of_memory(function: Callable[[Any], Result], argument: Any) -> Result | None:
    """function(argument), None if the device has no memory for it; what it had allocated is free again."""
    try:
        return function(argument)
    except (torch.OutOfMemoryError, MemoryError):
        pass
    except RuntimeError as error:
        if NO_MEMORY_ON_CPU not in str(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def in_halves(function: Callable[[Any], Result], rows: Sliceable) -> Iterator[Result]:
    """function(rows); where the device has no memory for it, of its halves, quarters... in order.

    Raises EndModelError EM122 when one row is too many.
    """
    found = or_out_of_memory(function, rows)
    if found is not None:
        yield found
        return
    middle = half(len(rows))
    yield from in_halves(function, rows.part(0, middle))
    yield from in_halves(function, rows.part(middle, len(rows)))


def half(size: int) -> int:
    """size // 2. Raises EndModelError EM122 where nothing is left to halve."""
    if size < 2:
        raise EndModelError("EM122", "the device has no memory for a single row", hint='train a smaller model, or set device = "cpu"')
    return size // 2
