"""How alike two rows are: the mean similarity over the features that either has (Suri et al. 2020, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .features import Numbers, Rows, Sets, Vectors

if TYPE_CHECKING:
    import torch

FAR = 1e30
"""Where a missing number stands: e to the minus distance is 0 then."""
MOST_TOKENS = 1024
"""Columns of a table of tokens that is multiplied at once."""
LEAST_IN_BOTH = 2


@dataclass(frozen=True)
class Similarity:
    """w_ij = sum_k a_k s_k / sum_k a_k over features k that i or j has and that both their modalities can have; in [0, 1].

    both_only  over features that both have, at least two of them; else w_ij = 0

    Algorithm 1 adds a distance (numbers) to a similarity (categories); here each feature gives a similarity in [0, 1]: exp(-|x - x'| / h),
    Jaccard (0 for two empty sets), max(0, cosine). Suri et al. 2020, section 4.4.
    """

    rows: Rows
    both_only: bool = False
    device: str = "cpu"

    def __call__(self, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        """float32 (B, p, q): row a[x, i] against row b[x, j].

        a  int64 (B, p), b  int64 (B, q)
        """
        import torch

        found = torch.zeros((*a.shape, b.shape[1]), device=self.device)
        for column in self.rows.columns:
            part = self._numbers(column, a, b) if isinstance(column, Numbers) else self._vectors(column, a, b) if isinstance(column, Vectors) else self._sets(column, a, b)
            found.add_(part, alpha=column.weight)
        return self._mean(found, a, b)

    def pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """float32 (n,): row a[i] against row b[i]."""
        return self(a[:, None], b[:, None])[:, 0, 0].cpu().numpy()

    def _mean(self, total: torch.Tensor, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        counted = self._dot(*self._counted[:2], a, b)
        found = total.div_(counted.clamp_(min=1e-12)).clamp_(0, 1)
        if self.both_only:
            found.masked_fill_(self._dot(*self._both, a, b) < LEAST_IN_BOTH - 0.5, 0)
        return found

    def _dot(self, left: torch.Tensor, right: torch.Tensor, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        return self._take(left, a) @ self._take(right, b).transpose(1, 2)

    @staticmethod
    def _take(values: torch.Tensor, at: np.ndarray) -> torch.Tensor:
        import torch

        return values[torch.from_numpy(np.ascontiguousarray(at)).to(values.device)]

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)

    @cached_property
    def _counted(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Two tables (n, 2 K) whose product is sum_k a_k over the features that count for a pair."""
        weight = np.array([c.weight for c in self.rows.columns])
        has = np.stack([c.present for c in self.rows.columns], axis=1).astype(float)
        if self.both_only:
            return self._tensor(has * weight), self._tensor(has)
        can = np.stack([c.modalities for c in self.rows.columns], axis=1)[self.rows.modality].astype(float)
        lacks = can * (1 - has)  # of those that both can have, all but those that both lack
        return self._tensor(np.hstack([can * weight, -lacks * weight])), self._tensor(np.hstack([can, lacks]))

    @cached_property
    def _both(self) -> tuple[torch.Tensor, torch.Tensor]:
        has = self._tensor(np.stack([c.present for c in self.rows.columns], axis=1))
        return has, has

    @cached_property
    def _values(self) -> dict[str, tuple[torch.Tensor, ...]]:
        """Numbers in units of their bandwidth, missing ones FAR on either side; vectors; tokens of sets of one, sizes of others."""
        found: dict[str, tuple[torch.Tensor, ...]] = {}
        for c in self.rows.columns:
            if isinstance(c, Numbers):
                scaled = c.values / c.bandwidth
                found[c.name] = self._tensor(np.where(c.present, scaled, FAR)), self._tensor(np.where(c.present, scaled, -FAR))
            elif isinstance(c, Sets) and c.sizes.max(initial=0) < 2:
                token = np.append(c.tokens, 0)[c.start[:-1]]
                found[c.name] = self._tensor(np.where(c.sizes, token, -1)), self._tensor(np.where(c.sizes, token, -2))
            else:
                found[c.name] = (self._tensor(c.unit if isinstance(c, Vectors) else c.sizes),)
        return found

    def _numbers(self, column: Numbers, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        left, right = self._values[column.name]
        return (self._take(left, a)[:, :, None] - self._take(right, b)[:, None, :]).abs_().neg_().exp_()

    def _vectors(self, column: Vectors, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        unit = self._values[column.name][0]
        return self._dot(unit, unit, a, b).clamp_(min=0)

    def _sets(self, column: Sets, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        sizes, *others = self._values[column.name]
        if others:
            return (self._take(sizes, a)[:, :, None] == self._take(others[0], b)[:, None, :]).float()
        shared = self._shared(column, a, b)
        union = (self._take(sizes, a)[:, :, None] + self._take(sizes, b)[:, None, :]).sub_(shared)
        return shared.div_(union.clamp_(min=1))

    def _shared(self, column: Sets, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        """float32 (B, p, q): tokens that two rows share: a product of 0/1 tables over the tokens of each block."""
        import torch

        row_a, key_a = _tokens(column, a)
        row_b, key_b = _tokens(column, b)
        known, code_a = np.unique(key_a, return_inverse=True)
        at = np.searchsorted(known, key_b)
        hit = known[np.minimum(at, len(known) - 1)] == key_b if len(known) else np.zeros(len(key_b), bool)
        block = known // max(column.n_tokens, 1)
        local = np.arange(len(known)) - np.searchsorted(block, np.arange(len(a)))[block]
        width = int(local.max()) + 1 if len(local) else 0
        found = torch.zeros((*a.shape, b.shape[1]), device=self.device)
        for low in range(0, width, MOST_TOKENS):
            high = min(width, low + MOST_TOKENS)
            left = self._table(row_a, local[code_a], a.shape, low, high)
            found.baddbmm_(left, self._table(row_b[hit], local[at[hit]], b.shape, low, high).transpose(1, 2))
        return found

    def _table(self, row: np.ndarray, code: np.ndarray, shape: tuple[int, ...], low: int, high: int) -> torch.Tensor:
        import torch

        if low or high <= code.max(initial=0):
            inside = (code >= low) & (code < high)
            row, code = row[inside], code[inside]
        table = torch.zeros(shape[0] * shape[1] * (high - low))
        table[torch.from_numpy(row * (high - low) + code - low)] = 1
        return table.reshape(*shape, high - low).to(self.device)


def _tokens(column: Sets, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place, key) of every token of the rows (B, p): its row as a place in the flattened block; block * vocabulary + token."""
    flat = rows.ravel()
    sizes = column.start[flat + 1] - column.start[flat]
    place = np.repeat(np.arange(len(flat)), sizes)
    at = np.arange(len(place)) + np.repeat(column.start[flat] - (np.cumsum(sizes) - sizes), sizes)
    return place, (place // rows.shape[1]) * max(column.n_tokens, 1) + column.tokens[at]
