"""Affinity coding: unlabelled data supervise themselves. Arrays and tensors only; tables are made by `groundswell.coding`."""

from . import clustering, em, graph, hierarchical, spectral
from .inference import DEFAULT_METHOD, Clusters, Evidence, infer, inference, methods
from .parts import ArrayParts, bags, pooled, selected, usable
from .prototypes import Prototypes, prototypes, sampled
from .scores import AffinityFunction, affinities, affinity_function, affinity_matrix

__all__ = [
    "AffinityFunction", "ArrayParts", "Clusters", "DEFAULT_METHOD", "Evidence", "Prototypes", "affinities", "affinity_function", "affinity_matrix", "bags",
    "clustering", "em", "graph", "hierarchical", "infer", "inference", "methods", "pooled", "prototypes", "sampled", "selected", "spectral", "usable",
]  # fmt: skip
