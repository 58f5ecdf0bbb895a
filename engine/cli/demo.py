"""The demo: a generated world, the whole pipeline, then what to look at."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Progress, complain
from .options import log_option

VERBS: tuple = ()
