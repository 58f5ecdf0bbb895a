"""Arms of each study, the crossing of curves, and what every arm may see."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.studies import FeatureSets, crossing, curation_arms, end_to_end_arms, factor_arms, fusion_arms, lesion_arms, supervised_arms
from groundswell.studies.arms import BASELINE, curve_sizes
from groundswell.studies.results import t_interval

SETS = FeatureSets("text", "image", {"A": ("a1", "a2"), "B": ("b",), "C": ("c",)}, own=("pixels", "vector"), embeddings=("vector",), old_own=("body",))


def test_worked_example_of_the_crossing():
    found = crossing([5_000, 20_000, 50_000, 100_000], [0.8, 1.2, 1.48, 1.6], 1.52)
    assert found.n == pytest.approx(62_996, abs=0.5) and found.most == 100_000


def test_a_curve_that_stays_below_says_how_far_it_was_tried():
    found = crossing([100, 1000], [0.5, 0.6], 0.7)
    assert found.n is None and found.most == 1000


def test_a_curve_that_begins_above_crosses_at_its_first_point_and_dips_are_smoothed():
    assert crossing([50, 500], [0.9, 0.95], 0.8).n == 50
    assert crossing([10, 100, 1000], [0.2, 0.8, 0.6], 0.7).n == pytest.approx(100)  # the isotonic fit is .2, .7, .7
    assert crossing([10, 100, 1000], [0.2, 0.8, 0.6], 0.71).n is None


def test_the_learning_curve_grows_by_a_constant_factor():
    sizes = curve_sizes(50 * 2**7, 8)
    assert sizes == [50 * 2**i for i in range(8)] and curve_sizes(0, 8) == [] and curve_sizes(30, 4) == [30]


def test_only_supervised_arms_learn_from_labels_the_pipeline_does_not_know():
    pipeline = [a for a in (*end_to_end_arms(SETS), *factor_arms(SETS), *lesion_arms(SETS), *fusion_arms(SETS), *curation_arms(SETS, ["mined"])) if "supervised" not in a.name]
    assert len(pipeline) > 20 and not any(source.labels == "told" for arm in pipeline for source in arm.sources)
    assert all(source.labels == "told" and source.modality == "image" for arm in supervised_arms(SETS, 1000) for source in arm.sources)
    assert all(source.labels == {"text": "gold", "image": "weak"}[source.modality] for arm in pipeline for source in arm.sources)


def test_factors_add_one_set_at_a_time():
    names = [arm.name for arm in factor_arms(SETS)]
    assert names == [BASELINE, "text A", "text AB", "text ABC", "text ABC, image A", "text ABC, image AB", "text ABC, image ABC", "text ABC, image all + own"]
    shown = [set(arm.shown("image")) for arm in factor_arms(SETS)[4:]]
    assert all(a < b for a, b in zip(shown, shown[1:]))


def test_lesion_arms_differ_in_modalities_alone():
    arms = {arm.name: arm for arm in lesion_arms(SETS)}
    for sets in ("A", "AB", "ABC"):
        assert [s.modality for s in arms[f"both {sets}"].sources] == ["text", "image"]
        assert arms[f"both {sets}"].shown("image") == arms[f"image {sets}"].shown("image")


def test_the_baseline_sees_the_embedding_alone_and_is_absent_without_one():
    assert end_to_end_arms(SETS)[0].shown("image") == ("vector",)
    assert BASELINE not in {a.name for a in end_to_end_arms(FeatureSets("text", "image", {"A": ("a",)}))}


def test_late_fusion_needs_own_features():
    assert [a.name for a in fusion_arms(SETS)][1:] == ["early", "intermediate", "devise", "late", "auto"]
    assert "late" not in [a.name for a in fusion_arms(FeatureSets("text", "image", {"A": ("a",)}))]


def test_intervals_over_seeds_cover_the_mean():
    random = np.random.default_rng(0)
    inside = [low <= 0.3 <= high for low, high in (t_interval(random.normal(0.3, 0.1, 5)) for _ in range(2000))]
    assert 0.93 < np.mean(inside) < 0.97 and t_interval([0.3]) == (None, None)
