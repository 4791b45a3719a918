"""The quality card: the final numbers of an experiment as facts with explanations, and the planted concepts found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.metric_explanations import EXPLANATIONS, Explanation
from experiments.models import Experiment
from experiments.quality_evidence import (
    ConceptEvidence,
    DensityChart,
    VariantRow,
    concept_evidence,
    density_chart,
    variant_rows,
)
from experiments.templatetags.quantities import count, decimals, exactly, share


@dataclass(frozen=True)
class Fact:
    """One number of the card."""

    explanation: Explanation
    value: str
    note: str = ""
    interval: str = ""


@dataclass(frozen=True)
class QualityCard:
    """Facts in the order of reading; `concepts` is empty for every corpus but the built-in one."""

    facts: tuple[Fact, ...]
    sample: str
    further_facts: tuple[Fact, ...] = ()
    left_out: str = ""
    concepts: tuple[dict[str, Any], ...] = ()
    concept_facts: tuple[Fact, ...] = ()
    concept_sample: str = ""
    evidence: ConceptEvidence | None = None
    density: DensityChart | None = None
    variants: tuple[VariantRow, ...] = ()
    variants_explanation: Explanation = EXPLANATIONS["variants"]


def quality_card(experiment: Experiment) -> QualityCard | None:
    """The card, or None before the evaluation."""
    quality: Mapping[str, Any] = experiment.quality
    if not quality:
        return None
    concepts = quality.get("concepts") or {}
    return QualityCard(
        facts=tuple(_facts(quality, experiment)),
        sample=f"measured on {count(quality.get('held_out_tokens'))} held-out tokens",
        further_facts=tuple(_further_facts(quality)),
        left_out=_left_out(quality),
        concepts=tuple(concepts.get("rows", ())),
        concept_facts=tuple(_concept_facts(quality, concepts)) if concepts else (),
        concept_sample=(
            f"chosen on {count(concepts.get('fitted_tokens'))} held-out tokens, "
            f"scored on {count(concepts.get('scored_tokens'))} others"
        ),
        evidence=concept_evidence(quality) if concepts else None,
        density=density_chart(quality, experiment.n_features),
        variants=variant_rows(quality),
    )


def _facts(quality: Mapping[str, Any], experiment: Experiment) -> list[Fact]:
    """Cross-entropy is missing for encoders, which predict no next token."""
    get = quality.get
    facts = [
        _fact(quality, "explained_variance", 3, f"PCA of equal rank {_pca(quality)}"),
        _fact(quality, "l0", 1, f"of {experiment.n_features:,} features"),
        Fact(EXPLANATIONS["dead_share"], share(get("dead_share")), f"over {count(get('dead_tokens'))} tokens"),
        _fact(quality, "cosine", 3, f"L2 ratio {decimals(get('l2_ratio'))}"),
    ]
    if get("ce_clean") is not None:
        spliced = f"{_signed(get('ce_gap'))} nats, KL {decimals(get('kl'))}"
        facts += [
            _fact(quality, "ce_clean", 3, "nats per token"),
            _fact(quality, "ce_spliced", 3, spliced),
            _fact(quality, "ce_recovered_zero", 3, f"CE zero {decimals(get('ce_zero'), 2)}"),
            _fact(quality, "ce_recovered_mean", 3, f"CE mean {decimals(get('ce_mean'), 2)}"),
        ]
    return facts


def _further_facts(quality: Mapping[str, Any]) -> list[Fact]:
    """What is looked at less often; nothing of what an older evaluation did not measure."""
    get = quality.get
    facts = [
        _fact(quality, "fvu", 3, ""),
        _fact(quality, "mse", 3, ""),
        _fact(quality, "l1", 2, ""),
        _fact(quality, "l2_ratio", 3, ""),
        _fact(quality, "relative_reconstruction_bias", 3, ""),
        *(_dense_fact(quality, percent) for percent in (1, 10)),
        _fact(quality, "consistent_activation", 2, "tokens per window"),
        _fact(quality, "encoder_decoder_cosine", 3, ""),
        _fact(quality, "decoder_coherence", 3, f"encoder {decimals(get('encoder_coherence'))}"),
        _fact(quality, "ce_gap", 3, "nats per token"),
        _fact(quality, "kl", 3, "nats per token"),
        _fact(quality, "kl_recovered_zero", 3, f"KL zero {decimals(get('kl_zero'), 2)}"),
        _fact(quality, "kl_recovered_mean", 3, f"KL mean {decimals(get('kl_mean'), 2)}"),
        _fact(quality, "identity_gap", 6, "nats; 0 by construction"),
    ]
    return [fact for fact in facts if get(fact.explanation.name) is not None]


def _dense_fact(quality: Mapping[str, Any], percent: int) -> Fact:
    name = f"above_{percent}_percent"
    firings = share(quality.get(f"{name}_firings"))
    return Fact(EXPLANATIONS[name], share(quality.get(name)), f"with {firings} of all firings")


def _left_out(quality: Mapping[str, Any]) -> str:
    """What the numbers are not of."""
    outliers = quality.get("outliers_left_out")
    if outliers is None:
        return ""
    return f"Left out: special tokens, and {exactly(outliers)} outliers, whose norm is above ten times the median."


def _concept_facts(quality: Mapping[str, Any], concepts: Mapping[str, Any]) -> list[Fact]:
    of = f"of {len(concepts.get('rows', ()))} concepts with F1 ≥ 0.8"
    facts = [
        _share_fact(quality, "concepts_single", concepts.get("single_share_f1_80"), 0, of),
        _share_fact(quality, "concepts_set", concepts.get("set_share_f1_80"), 0, of),
    ]
    probing, absorption = quality.get("probing") or {}, quality.get("absorption") or {}
    if probing.get("k1") is not None:
        others = f"with one feature; {decimals(probing['k5'], 2)} with five, {decimals(probing['dense'], 2)} dense"
        interval = _interval(quality, "probing", lambda bound: decimals(bound, 2))
        facts.append(Fact(EXPLANATIONS["probing"], decimals(probing["k1"], 2), others, interval))
    if absorption.get("share") is not None:
        parents = f"mean of {len(absorption['rows'])} parents, {absorption['hierarchies']} children"
        facts.append(_share_fact(quality, "absorption", absorption["share"], 1, parents))
    if absorption.get("fraction") is not None:
        facts.append(_share_fact(quality, "absorption_fraction", absorption["fraction"], 1, "of the same tokens"))
    return facts


def _fact(quality: Mapping[str, Any], metric: str, places: int, note: str) -> Fact:
    """The number with its interval, where it has one."""
    interval = _interval(quality, metric, lambda bound: decimals(bound, places))
    return Fact(EXPLANATIONS[metric], decimals(quality.get(metric), places), note, interval)


def _share_fact(quality: Mapping[str, Any], metric: str, part: float | None, places: int, note: str) -> Fact:
    """The same for a number of planted concepts, which is a share and lies deeper."""
    interval = _interval(quality, metric, lambda bound: share(bound, places))
    return Fact(EXPLANATIONS[metric], share(part, places), note, interval)


def _interval(quality: Mapping[str, Any], metric: str, say: Callable[[float], str]) -> str:
    bounds = (quality.get("intervals") or {}).get(metric)
    return " to ".join(say(bound) for bound in bounds) if bounds else ""


def _pca(quality: Mapping[str, Any]) -> str:
    return decimals(quality.get("pca_explained_variance"))


def _signed(number: float | None) -> str:
    return "–" if number is None else f"{number:+.3f}"
