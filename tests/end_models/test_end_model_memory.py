"""A device that runs out of memory, and half precision."""

import numpy as np
import pytest
import torch

from groundswell.end_models import end_model
from groundswell.end_models.precision import in_halves
from groundswell.errors import EndModelError

SMALL = {"hidden": [16], "max_epochs": 4, "batch_size": 64, "learning_rate": 0.01, "text_buckets": 2**8}


def scarce(monkeypatch, most: int, after: int = 0) -> list[int]:
    """After so many calls a network has memory for `most` rows at once; the sizes it was asked for."""
    from groundswell.end_models.mlp import HiddenNetwork

    asked, forward = [], HiddenNetwork.forward

    def bounded(self, rows):
        asked.append(len(rows))
        if len(rows) > most and len(asked) > after:
            raise torch.OutOfMemoryError("CUDA out of memory (as the device would say)")
        return forward(self, rows)

    monkeypatch.setattr(HiddenNetwork, "forward", bounded)
    return asked


def test_the_batch_is_halved_said_and_no_row_is_lost(mixed, monkeypatch):
    asked, events, table = scarce(monkeypatch, 20), [], mixed.table(600)
    model = end_model("mlp", **SMALL)
    model.fit(mixed.source(table), mixed.spec, ("a", "b"), dev=mixed.source(mixed.table(200, seed=1)), on_event=events.append)
    assert [e["batch_size"] for e in events if e["event"] == "halved"] == [32, 16]
    assert [w.code for w in model.warnings_] == ["EM206", "EM206"] and "16" in model.warnings_[1].message
    epochs = [e for e in events if e["event"] == "epoch"]
    assert len(epochs) == 4 and max(asked) > 20
    p = model.predict(mixed.batch(table))
    assert len(p) == 600 and float((p.argmax(axis=1) == table["y"].to_numpy()).mean()) > 0.9


@pytest.mark.parametrize("after", [0, 3])
def test_every_row_takes_part_in_every_epoch(mixed, monkeypatch, after):
    """With a step that only counts: 600 rows an epoch, whether memory ends at the first step or between two."""
    from groundswell.udfs.train import TrainingStep

    scarce(monkeypatch, 20, after)
    seen, step = [], TrainingStep.step
    monkeypatch.setattr(TrainingStep, "step", lambda self, rows: (losses := step(self, rows), seen.append(len(losses)))[0])
    end_model("mlp", **SMALL | {"max_epochs": 2}).fit(mixed.source(mixed.table(600)), mixed.spec, ("a", "b"))
    assert sum(seen) == 1200


def test_no_memory_for_one_row_is_an_error(mixed, monkeypatch):
    scarce(monkeypatch, 0)
    with pytest.raises(EndModelError) as error:
        end_model("mlp", **SMALL).fit(mixed.source(mixed.table(100)), mixed.spec, ("a", "b"))
    assert error.value.code == "EM122"


def test_other_errors_are_not_taken_for_it(mixed):
    rows = end_model("mlp", **SMALL).fit(mixed.source(mixed.table(100)), mixed.spec, ("a", "b")).encoder_.encode(mixed.batch(mixed.table(8)))

    def fails(part):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(in_halves(fails, rows))


def test_half_precision_learns_the_same(mixed):
    table, dev, test = mixed.table(1500, 3), mixed.table(300, 3, 1), mixed.table(500, 3, 2)
    p = {}
    for precision in ("float32", "bfloat16"):
        model = end_model("mlp", **SMALL | {"precision": precision, "max_epochs": 10}).fit(mixed.source(table), mixed.spec, mixed.classes(3), dev=mixed.source(dev))
        p[precision] = model.predict(mixed.batch(test))
    assert not np.array_equal(p["float32"], p["bfloat16"])
    assert float((p["float32"].argmax(axis=1) == p["bfloat16"].argmax(axis=1)).mean()) > 0.97


def test_an_unknown_precision_is_refused():
    with pytest.raises(EndModelError) as error:
        end_model("mlp", precision="bfloat61")
    assert error.value.code == "EM107" and "bfloat16" in str(error.value)
