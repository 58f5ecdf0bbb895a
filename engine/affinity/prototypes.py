"""Prototypes: the vectors of an entity at which its strongest channels peak (Das et al. 2019, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .parts import Parts, spans

BLOCK = 64


@dataclass(frozen=True)
class Prototypes:
    """M prototypes in the order of their entities, then of their rank.

    entity    int (M,)  index of the entity each comes from
    position  int (M,)  which of its vectors it is
    rank      int (M,)  0 = peak of the entity's strongest channel
    channel   int (M,)  that channel
    vectors   float32 (M, C)
    """

    entity: np.ndarray
    position: np.ndarray
    rank: np.ndarray
    channel: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.entity)

    def at(self, chosen: np.ndarray) -> Prototypes:
        """Some of them."""
        return Prototypes(self.entity[chosen], self.position[chosen], self.rank[chosen], self.channel[chosen], self.vectors[chosen])


def peaks(vectors: np.ndarray, present: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(position int (b, k), channel int (b, k), first bool (b, k)) of each entity's k strongest channels, strongest first.

    vectors  float (b, P, C); present bool (b, P) or None. k is at most C. A channel's strength is its maximum over positions;
    ties go to the smallest index. first: the position does not occur at an earlier rank. Source: Das et al. 2019, eq. 2.
    """
    values = vectors if present is None else np.where(present[:, :, None], vectors, -np.inf)
    where = values.argmax(axis=1)
    strength = np.take_along_axis(values, where[:, None], axis=1)[:, 0]
    channel = np.argsort(-strength, axis=1, kind="stable")[:, :k]
    position = np.take_along_axis(where, channel, axis=1)
    same = position[:, :, None] == position[:, None, :]
    return position, channel, ~np.tril(same, -1).any(axis=2)


def prototypes(parts: Parts, k: int = 5) -> Prototypes:
    """At most k prototypes of each entity; an entity's repeated positions are dropped."""
    found = []
    for start, stop in spans(parts.shape[0], BLOCK):
        vectors, present = parts.block(start, stop)
        position, channel, first = peaks(vectors, present, min(k, vectors.shape[2]))
        entity, rank = np.nonzero(first)
        at = position[entity, rank]
        found.append((entity + start, at, rank, channel[entity, rank], vectors[entity, at]))
    return Prototypes(*(np.concatenate(column) for column in zip(*found)))


def sampled(found: Prototypes, most: int | None, seed: int) -> Prototypes:
    """At most `most` of the prototypes, drawn without replacement, in their old order."""
    if most is None or len(found) <= most:
        return found
    return found.at(np.sort(np.random.default_rng(seed).choice(len(found), most, replace=False)))
