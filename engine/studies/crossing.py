"""How many hand labels a supervised model needs to match the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np


@dataclass(frozen=True)
class Crossing:
    """Labels at which a supervised learning curve reaches a target; n None: not reached with the `most` labels tried."""

    n: float | None
    most: int


def crossing(n: Sequence[int], value: Sequence[float], target: float) -> Crossing:
    """Where a learning curve first reaches `target`: isotonic fit of the curve, linear between points in log n.

    n      labels, increasing; value  what the model reached with them

    A curve that begins at or above the target crosses at its first point. Source: Suri et al. 2020, section 6.3 (Figure 5).

    >>> round(crossing([5_000, 20_000, 50_000, 100_000], [0.8, 1.2, 1.48, 1.6], 1.52).n)
    62996
    """
    from scipy.optimize import isotonic_regression

    fitted = isotonic_regression(np.asarray(value, float)).x
    reached = np.flatnonzero(fitted >= target)
    if not len(reached):
        return Crossing(None, int(n[-1]))
    after = int(reached[0])
    if after == 0:
        return Crossing(float(n[0]), int(n[-1]))
    low, high = np.log(n[after - 1]), np.log(n[after])
    share = (target - fitted[after - 1]) / (fitted[after] - fitted[after - 1])
    return Crossing(float(np.exp(low + share * (high - low))), int(n[-1]))
