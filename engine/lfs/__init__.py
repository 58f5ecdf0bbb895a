"""Labeling functions: read, guarded, shaped, bound, linted, compiled."""

from .bind import show_entity
from .load import LoadedLFs, load_lfs, lf_files, lf_scope
from .python import PythonLF, lf, register_row_functions
from .resources import LoadedResources, feature_files, load_resources
from .rowtests import run_row_tests

__all__ = ["LoadedLFs", "LoadedResources", "PythonLF", "feature_files", "lf", "lf_files", "lf_scope", "load_lfs", "load_resources", "register_row_functions", "run_row_tests", "show_entity"]
