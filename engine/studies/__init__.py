"""The paper's studies on the user's own task: arms that differ in one thing, judged on the same rows (Suri et al. 2020, section 6)."""

from groundswell.studies.arms import Arm, FeatureSets, Source, curation_arms, end_to_end_arms, factor_arms, fusion_arms, lesion_arms, supervised_arms
from groundswell.studies.crossing import Crossing, crossing
from groundswell.studies.results import StudyResult
from groundswell.studies.run import STUDIES, StudyOptions, study

__all__ = [
    "Arm", "Crossing", "FeatureSets", "STUDIES", "Source", "StudyOptions", "StudyResult", "crossing", "curation_arms", "end_to_end_arms", "factor_arms", "fusion_arms",
    "lesion_arms", "study", "supervised_arms",
]  # fmt: skip
