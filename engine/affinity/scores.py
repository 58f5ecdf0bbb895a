"""Affinity: how near the nearest vector of an entity comes to a prototype (Das et al. 2019, eq. 4), in blocks of bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterator, Mapping

import numpy as np

from ..errors import AffinityError, did_you_mean
from .kept import KeptCodings
from .parts import Parts, spans

if TYPE_CHECKING:
    import torch

BLOCK_BYTES = 96 * 2**20
"""What one block of similarities may take."""


@dataclass(frozen=True)
class AffinityFunction:
    """A similarity of two vectors, as one matrix product per block.

    prepare   (n, C) -> (n, D): done once for vectors and prototypes
    compare   (n, D), (D, M) -> (n, M): larger is more alike
    identity  changes when the function does: affinities are kept by it
    """

    name: str
    prepare: Callable[[torch.Tensor], torch.Tensor]
    compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    identity: str = "built-in"


_FUNCTIONS: dict[str, AffinityFunction] = {}


def register(function: AffinityFunction) -> AffinityFunction:
    """The function itself, found from now on under its name."""
    _FUNCTIONS[function.name] = function
    return function


def affinity_function(name: str, own: Mapping[str, AffinityFunction] = {}) -> AffinityFunction:
    """The affinity function called `name`: a built-in one, or one of the project's own. Raises AffinityError AF109."""
    known = {**own, **_FUNCTIONS}
    if name not in known:
        raise AffinityError("AF109", f'there is no affinity function "{name}"', hint=did_you_mean(name, known) or f"one of {', '.join(sorted(known))}")
    return known[name]


def built_in_functions() -> tuple[str, ...]:
    """Names of the affinity functions that are always there."""
    return tuple(sorted(_FUNCTIONS))


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Rows of length 1; zero rows stay zero."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def _product(vectors: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    return vectors @ prototypes


def _gaussian(vectors: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    """exp(-d^2 / C): vectors of C standardised numbers have a mean d^2 of 2 C."""
    squares = (vectors**2).sum(1, keepdim=True) + (prototypes**2).sum(0) - 2 * (vectors @ prototypes)
    return (-squares.clamp_min(0) / vectors.shape[1]).exp()


register(AffinityFunction("cosine", unit, _product))
register(AffinityFunction("gaussian", lambda vectors: vectors, _gaussian))


def affinities(
    parts: Parts, prototypes: np.ndarray, function: str | AffinityFunction = "cosine", device: str | None = None, kept: KeptCodings | None = None
) -> Iterator[np.ndarray]:
    """float32 (b, M), block after block of entities: s_ij = max over the vectors of entity i of their similarity to prototype j.

    prototypes  float32 (M, C). One matrix product per block; a block's similarities take at most BLOCK_BYTES.
    kept        where blocks are written, and those of an earlier run that ended early are read
    """
    import torch

    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    score = affinity_function(function) if isinstance(function, str) else function
    with torch.inference_mode():
        q = score.prepare(torch.from_numpy(np.ascontiguousarray(prototypes)).to(target)).T.contiguous()
    n, n_parts, _ = parts.shape
    step = block_rows(n_parts, q.shape[1])
    blocks = kept.of(parts.fingerprint(), prototypes, score.name, score.identity, target.type) if kept else None
    for start, stop in spans(n, step):

        def scores() -> np.ndarray:
            vectors, present = parts.block(start, stop)
            return block_scores(torch.from_numpy(vectors).to(target), present, q, score).cpu().numpy()

        yield blocks.arrays(f"{start}-{stop}", lambda: {"s": scores()})["s"] if blocks else scores()


def block_rows(n_parts: int, n_prototypes: int) -> int:
    """How many entities a block holds."""
    return max(1, BLOCK_BYTES // (4 * n_parts * max(n_prototypes, 1)))


def block_scores(vectors: torch.Tensor, present: np.ndarray | None, q: torch.Tensor, score: AffinityFunction) -> torch.Tensor:
    """float32 (b, M) of vectors (b, P, C) against prepared prototypes (D, M)."""
    import torch

    with torch.inference_mode():
        b, p, c = vectors.shape
        similar = score.compare(score.prepare(vectors.reshape(b * p, c)), q).view(b, p, -1)
        if present is not None:
            similar = similar.masked_fill(~torch.from_numpy(present).to(similar.device)[:, :, None], -torch.inf)
        return similar.amax(dim=1)


def affinity_matrix(parts: Parts, prototypes: np.ndarray, function: str | AffinityFunction = "cosine", device: str | None = None) -> np.ndarray:
    """float32 (N, M): all blocks in one array."""
    found = np.empty((parts.shape[0], len(prototypes)), np.float32)
    at = 0
    for block in affinities(parts, prototypes, function, device):
        found[at : at + len(block)] = block
        at += len(block)
    return found


def nearest_part(vectors: np.ndarray, present: np.ndarray | None, prototype: np.ndarray, function: str | AffinityFunction = "cosine") -> np.ndarray:
    """int (b,): which vector of each entity comes nearest to one prototype (C,)."""
    import torch

    score = affinity_function(function) if isinstance(function, str) else function
    b, p, c = vectors.shape
    with torch.inference_mode():
        q = score.prepare(torch.from_numpy(np.ascontiguousarray(prototype[None]))).T
        similar = score.compare(score.prepare(torch.from_numpy(vectors).reshape(b * p, c)), q).view(b, p).numpy()
    return np.where(True if present is None else present, similar, -np.inf).argmax(axis=1)
