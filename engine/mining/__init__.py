"""Labeling functions mined from labelled rows: frequent itemsets by GROUP BY, bounds relative to the class prior (Suri et al. 2020, section 4.3)."""

from groundswell.mining.bounds import Bounds, relaxations
from groundswell.mining.counting import Counts, Labelled, count_features, mark_rows
from groundswell.mining.items import MinedFeature, minable, predicate
from groundswell.mining.judging import Judged, cover, judge, nearest_lfs, reach, sample_mined
from groundswell.mining.options import MiningOptions, mining_options
from groundswell.mining.selection import Found, MinedLF, Selection, select

__all__ = [
    "Bounds", "Counts", "Found", "Judged", "Labelled", "MinedFeature", "MinedLF", "MiningOptions", "Selection", "count_features", "cover", "judge", "mark_rows", "minable", "mining_options",
    "nearest_lfs", "predicate", "reach", "relaxations", "sample_mined", "select",
]  # fmt: skip
