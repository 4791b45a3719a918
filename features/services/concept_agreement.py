"""Machine labels against planted concepts: the built-in corpus knows the truth that a label should say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from experiments.engine.builtin.concepts import FOUND_F1
from experiments.models import Experiment
from experiments.planted_truth import planted_in
from features.models import MachineLabelling
from features.services.evidence import concept_titles

if TYPE_CHECKING:
    from features.activation_index.text import Positions
    from features.explaining.explanations import Explanation
    from features.explaining.harvest_view import HarvestView


@dataclass(frozen=True)
class ConceptAgreement:
    """The label of the feature that recovers a concept, tested on held-out windows with and without the concept.

    `precision` and `recall` count held-out tokens: of those that the label means, and of those that carry the concept.
    """

    concept: str
    title: str
    feature: int
    label: str
    balanced_accuracy: float
    low: float
    high: float
    precision: float
    recall: float


@dataclass(frozen=True)
class AgreementReport:
    """All that a pass has found, the best first. `told`: with a balanced accuracy of 0.8 or more."""

    recovered: int
    told: int
    mean: float
    rows: tuple[ConceptAgreement, ...]


def planted_by_feature(experiment: Experiment, view: HarvestView) -> dict[int, dict[str, Positions]]:
    """For each feature that recovers concepts, which positions to test on carry them."""
    recovered = _recovered(experiment)
    if not recovered:
        return {}
    planted = planted_in(experiment, view.test_documents())
    found: dict[int, dict[str, Positions]] = defaultdict(dict)
    for concept, feature in recovered.items():
        if concept in planted:
            found[feature][concept] = planted[concept]
    return dict(found)


def agreement_facts(explanations: Iterable[Explanation]) -> dict[str, dict[str, Any]]:
    """What a pass keeps of its agreements, by concept, as plain JSON."""
    return {
        found.concept: {
            "feature": explanation.feature,
            "label": explanation.text,
            "balanced_accuracy": found.detection.balanced_accuracy,
            "low": found.detection.interval[0],
            "high": found.detection.interval[1],
            "precision": found.precision,
            "recall": found.recall,
        }
        for explanation in explanations
        for found in explanation.agreements
    }


def agreement_report(row: MachineLabelling) -> AgreementReport | None:
    """What the labels of a pass say of the planted concepts; None where no truth is known."""
    if not row.agreement:
        return None
    titles = concept_titles(row.experiment)
    found = [ConceptAgreement(name, titles.get(name, name), **facts) for name, facts in row.agreement.items()]
    found.sort(key=lambda one: (-one.balanced_accuracy, one.concept))
    scores = [one.balanced_accuracy for one in found]
    told = sum(score >= MachineLabelling.CONVINCING for score in scores)
    return AgreementReport(len(_recovered(row.experiment)), told, sum(scores) / len(scores), tuple(found))


def report_as_json(row: MachineLabelling) -> dict[str, Any] | None:
    report = agreement_report(row)
    return None if report is None else asdict(report)


def _recovered(experiment: Experiment) -> dict[str, int]:
    """The concepts that one feature recovers, as the evaluation says, and that feature."""
    rows = (experiment.quality.get("concepts") or {}).get("rows", [])
    return {row["concept"]: row["feature"] for row in rows if row.get("f1", 0) >= FOUND_F1}
