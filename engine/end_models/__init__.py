"""End models: trained on probabilistic labels, streamed as Arrow batches, saved as an artefact with a hash.

    model = end_model("logistic", batch_size=256).fit(batches, spec, classes, dev=dev, seed=0)
    model.predict(batch)         # float64 (n, K)
    sha256 = model.save(folder); model = load_end_model(folder, sha256)

Importing this package imports neither torch nor scikit-learn.
"""

from .base import END_MODELS, EndModel, end_model, load_end_model
from .batches import Batches
from .features import Feature, FeatureSpec, SkippedColumn, column_statistics, infer_features

__all__ = [
    "END_MODELS",
    "Batches",
    "EndModel",
    "Feature",
    "FeatureSpec",
    "SkippedColumn",
    "column_statistics",
    "end_model",
    "infer_features",
    "load_end_model",
]
