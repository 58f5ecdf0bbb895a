"""Label propagation: labels of some rows spread to rows like them. Arrays and tensors only; tables are made by `groundswell.propagating`."""

from .features import Column, Numbers, Rows, Sets, Vectors, bandwidth, unit_rows, where_present
from .graph import beside, components, hops, symmetric_graph
from .passes import Found, Search, find_neighbours
from .scores import Threshold, class_mass_weights, normalised, threshold
from .similarity import Similarity
from .spread import Expander, Spread, expander, harmonic, one_class_components

__all__ = [
    "Column", "Expander", "Found", "Numbers", "Rows", "Search", "Sets", "Similarity", "Spread", "Threshold", "Vectors", "bandwidth", "beside",
    "class_mass_weights", "components", "expander", "find_neighbours", "harmonic", "hops", "normalised", "one_class_components", "symmetric_graph",
    "threshold", "unit_rows", "where_present",
]  # fmt: skip
