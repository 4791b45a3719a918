"""The quality card: the final numbers of an experiment as facts with explanations, and the planted concepts found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.metric_explanations import EXPLANATIONS, Explanation
from experiments.models import Experiment
from experiments.templatetags.quantities import count, decimals, share


@dataclass(frozen=True)
class Fact:
    """One number of the card."""

    explanation: Explanation
    value: str
    note: str = ""


@dataclass(frozen=True)
class QualityCard:
    """Facts in the order of reading; `concepts` is empty for every corpus but the built-in one."""

    facts: tuple[Fact, ...]
    sample: str
    concepts: tuple[dict[str, Any], ...] = ()
    concept_facts: tuple[Fact, ...] = ()
    concept_sample: str = ""


def quality_card(experiment: Experiment) -> QualityCard | None:
    """The card, or None before the evaluation."""
    quality: Mapping[str, Any] = experiment.quality
    if not quality:
        return None
    concepts = quality.get("concepts") or {}
    return QualityCard(
        facts=tuple(_facts(quality, experiment)),
        sample=f"measured on {count(quality.get('held_out_tokens'))} held-out tokens",
        concepts=tuple(concepts.get("rows", ())),
        concept_facts=tuple(_concept_facts(concepts)) if concepts else (),
        concept_sample=(
            f"chosen on {count(concepts.get('fitted_tokens'))} held-out tokens, "
            f"scored on {count(concepts.get('scored_tokens'))} others"
        ),
    )


def _facts(quality: Mapping[str, Any], experiment: Experiment) -> list[Fact]:
    """Cross-entropy is missing for encoders, which predict no next token."""
    get = quality.get
    facts = [
        _fact("explained_variance", decimals(get("explained_variance")), f"PCA with k components {_pca(quality)}"),
        _fact("l0", decimals(get("l0"), 1), f"of {experiment.n_features:,} features"),
        _fact("dead_share", share(get("dead_share")), f"over {count(get('dead_tokens'))} tokens"),
        _fact("cosine", decimals(get("cosine")), f"L2 ratio {decimals(get('l2_ratio'))}"),
    ]
    if get("ce_clean") is not None:
        facts += [
            _fact("ce_clean", decimals(get("ce_clean")), "nats per token"),
            _fact(
                "ce_spliced", decimals(get("ce_spliced")), f"{_signed(get('ce_gap'))} nats, KL {decimals(get('kl'))}"
            ),
            _fact("ce_recovered_zero", decimals(get("ce_recovered_zero")), f"CE zero {decimals(get('ce_zero'), 2)}"),
            _fact("ce_recovered_mean", decimals(get("ce_recovered_mean")), f"CE mean {decimals(get('ce_mean'), 2)}"),
        ]
    return facts


def _concept_facts(concepts: Mapping[str, Any]) -> list[Fact]:
    of = f"of {len(concepts.get('rows', ()))} concepts with F1 ≥ 0.8"
    return [
        _fact("concepts_single", share(concepts.get("single_share_f1_80"), 0), of),
        _fact("concepts_set", share(concepts.get("set_share_f1_80"), 0), of),
    ]


def _fact(metric: str, value: str, note: str) -> Fact:
    return Fact(EXPLANATIONS[metric], value, note)


def _pca(quality: Mapping[str, Any]) -> str:
    return decimals(quality.get("pca_explained_variance"))


def _signed(number: float | None) -> str:
    return "–" if number is None else f"{number:+.3f}"
