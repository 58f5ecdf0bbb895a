"""Options of end models, checked by name and range."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Iterable, Mapping

from ..errors import EndModelError, did_you_mean
from .columns import EncoderOptions

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained. The defaults were chosen by held-out video on the four training videos of the YouTube spam set."""

    max_epochs: int = 100
    batch_size: int = 256
    learning_rate: float = 0.03
    epsilon: float = 1e-3
    """Added to Adam's root mean square gradient. Large on purpose: at 1e-8 a rare n-gram moves as far as a common one."""
    decay: float = 0.5
    """Factor on the learning rate after every epoch that did not lower the dev loss; in (0, 1]."""
    weight_decay: float = 0.0
    """Decoupled L2 decay of the weights, not of the bias (Loshchilov & Hutter 2019)."""
    patience: int = 5
    """Epochs without a lower dev loss before training stops."""
    tolerance: float = 1e-4
    """By how much (nats per row) the dev loss must fall to count as lower: without it, separable data train for ever."""
    class_weight: Any = None
    """None, "balanced" (n / (K x mass of the class)) or a mapping class -> weight."""
    device: str = "auto"
    """"auto" (cuda if there is one, else cpu), or a torch device."""
    precision: str = "float32"
    """"float32", or "bfloat16": matrix products of wide networks in half the memory; weights and losses stay float32."""
    shuffle_rows: int = 65_536
    """Rows are shuffled inside buffers of this many rows: order the source by a hash if it is sorted by class or time."""
    cache_bytes: int = 512 * 2**20
    """Encoded rows kept in memory."""
    spool_bytes: int = 32 * 2**30
    """Encoded rows beyond cache_bytes that are kept in a temporary file, at most half of the free space there; what exceeds both is
    read and encoded again every epoch."""

    def check(self) -> None:
        """None. Raises EndModelError EM107 naming the first option out of range."""
        limits = {"max_epochs": 1, "batch_size": 1, "patience": 1, "shuffle_rows": 1, "cache_bytes": 0, "spool_bytes": 0, "weight_decay": 0, "tolerance": 0}
        for name, low in limits.items():
            if not getattr(self, name) >= low:
                raise EndModelError("EM107", f"{name} = {getattr(self, name)} is below {low}")
        if self.precision not in PRECISIONS:
            hint = did_you_mean(str(self.precision), PRECISIONS) or f"one of {', '.join(PRECISIONS)}"
            raise EndModelError("EM107", f"precision = {self.precision!r} is unknown", hint=hint)
        if self.decay > 1:
            raise EndModelError("EM107", f"decay = {self.decay} is above 1")
        for name in ("learning_rate", "epsilon", "decay"):
            if not getattr(self, name) > 0:
                raise EndModelError("EM107", f"{name} = {getattr(self, name)} is not positive")


def checked_encoder(options: EncoderOptions) -> EncoderOptions:
    """The options. Raises EndModelError EM107 naming the first one out of range."""
    for name, low in {"min_count": 1, "max_categories": 1, "text_buckets": 1, "word_ngrams": 1, "char_ngrams": 0}.items():
        if getattr(options, name) < low:
            raise EndModelError("EM107", f"{name} = {getattr(options, name)} is below {low}")
    if options.char_ngrams in (1, 2):
        raise EndModelError("EM107", f"char_ngrams = {options.char_ngrams}: 0, or 3 and more")
    return options


def check_own_options(own: Mapping[str, Any]) -> None:
    """None. Raises EndModelError EM107 for an option of one method that cannot be: hidden widths, a dropout, sizes of trees."""
    hidden, dropout, shrinkage = own.get("hidden", (1,)), own.get("dropout", 0.0), own.get("shrinkage", 0.1)
    if not isinstance(hidden, (list, tuple)) or not hidden or not all(isinstance(h, int) and h > 0 for h in hidden):
        raise EndModelError("EM107", f"hidden = {hidden!r} is not a list of positive widths", hint="hidden = [256, 64]")
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise EndModelError("EM107", f"dropout = {dropout!r} is not in [0, 1)", hint="dropout = 0.1")
    if not isinstance(shrinkage, (int, float)) or not 0 < shrinkage <= 1:
        raise EndModelError("EM107", f"shrinkage = {shrinkage!r} is not in (0, 1]", hint="shrinkage = 0.1")
    for name, low in {"trees": 1, "leaves": 2, "sparse_columns": 0, "max_rows": 1}.items():
        if not isinstance(own.get(name, low), int) or own.get(name, low) < low:
            raise EndModelError("EM107", f"{name} = {own[name]!r} is not a whole number of at least {low}")


def split_options(given: Mapping[str, Any], others: Iterable[str] = ()) -> tuple[TrainingOptions, EncoderOptions]:
    """Training and encoder options from one flat mapping. Raises EndModelError EM107 with the nearest name.

    others  further option names this method has, for the hint
    """
    training, encoding = ({f.name for f in fields(kind)} for kind in (TrainingOptions, EncoderOptions))
    for name in given:
        if name not in training | encoding:
            known = {*training, *encoding, *others}
            hint = did_you_mean(name, known) or f"the options are {', '.join(sorted(known))}"
            raise EndModelError("EM107", f'there is no end-model option "{name}"', hint=hint)
    chosen = TrainingOptions(**{k: v for k, v in given.items() if k in training})
    chosen.check()
    return chosen, checked_encoder(EncoderOptions(**{k: v for k, v in given.items() if k in encoding}))
