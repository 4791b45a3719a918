"""What stands behind each metric's name: formula, tokens, what good looks like, and how other tools differ."""

from dataclasses import replace

from experiments.metric_explanations.concepts import CONCEPTS
from experiments.metric_explanations.explanation import Explanation
from experiments.metric_explanations.features import FEATURES
from experiments.metric_explanations.reconstruction import RECONSTRUCTION
from experiments.metric_explanations.splices import SPLICES

_GROUPS = {
    "Reconstruction": RECONSTRUCTION,
    "Features": FEATURES,
    "Predictions of the model": SPLICES,
    "Concepts and seeds": CONCEPTS,
}
GROUPS: dict[str, dict[str, Explanation]] = {
    title: {name: replace(one, name=name) for name, one in group.items()} for title, group in _GROUPS.items()
}
EXPLANATIONS: dict[str, Explanation] = {name: one for group in GROUPS.values() for name, one in group.items()}

__all__ = ["EXPLANATIONS", "GROUPS", "Explanation"]
