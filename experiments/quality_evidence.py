"""What stands behind the quality card: the distribution of densities, and the tables of what has many rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10
from typing import Any

from experiments.engine.builtin.concepts import CONCEPTS
from experiments.metric_explanations import EXPLANATIONS, Explanation
from latentlens.lib.histogram import Histogram, draw

WIDTH, HEIGHT = 560, 150  # of the density chart, as the curves are
GUESSING = 0.5  # accuracy of a probe that knows nothing: both classes are equally large
PROBES = {"k1": "k = 1", "k2": "k = 2", "k5": "k = 5", "dense": "dense"}
MOST_ABSORBED = 6  # parents in the chart; the table has all of them
# The number of another tool, whose it is, and which of ours it is to be compared with.
VARIANTS = {
    "saelens_6_18_explained_variance": ("SAELens 6.18", "explained_variance"),
    "saebench_paper_explained_variance": ("SAEBench, paper", "explained_variance"),
    "dictionary_learning_variance_explained": ("dictionary_learning", "explained_variance"),
    "sparsify_fvu": ("sparsify", "fvu"),
    "openai_nmse": ("OpenAI, normalised MSE", "fvu"),
    "saebench_mse": ("SAEBench 0.6", "mse"),
    "saelens_ce_zero": ("SAELens", "ce_zero"),
    "saelens_ce_recovered": ("SAELens", "ce_recovered_zero"),
    "saebench_default_ce_spliced": ("SAEBench, library default", "ce_spliced"),
    "saebench_default_ce_recovered": ("SAEBench, library default", "ce_recovered_zero"),
}


@dataclass(frozen=True)
class DensityChart:
    """Features by density; `mean_x` is where the mean density lies, `decades` the ticks (x, exponent of ten)."""

    explanation: Explanation
    histogram: Histogram
    tallest: int
    living: int
    dead: int
    dead_tokens: int
    decades: tuple[tuple[float, int], ...]
    mean_x: float | None


@dataclass(frozen=True)
class VariantRow:
    tool: str
    explanation: Explanation
    theirs: float
    ours: float | None


@dataclass(frozen=True)
class ScaledBar:
    """A named number and how long its bar is, from 0 to 100."""

    title: str
    value: float
    length: float


@dataclass(frozen=True)
class ProbedConcept:
    """The accuracies of one concept's probes, in the order of PROBES."""

    title: str
    marks: tuple[ScaledBar, ...]
    tokens: int


@dataclass(frozen=True)
class ConceptEvidence:
    """What sparse probing and absorption found, concept by concept; the worst come first."""

    probing: tuple[ScaledBar, ...]
    probed: tuple[ProbedConcept, ...]
    absorbed: tuple[ScaledBar, ...]
    parents: tuple[Mapping[str, Any], ...]


def density_chart(quality: Mapping[str, Any], n_features: int) -> DensityChart | None:
    """None where an older evaluation did not count, or nothing fired."""
    density = quality.get("density") or {}
    histogram = draw(density.get("edges", ()), density.get("counts", ()), WIDTH, HEIGHT)
    if histogram is None:
        return None
    first, last = (round(log10(density["edges"][end])) for end in (0, -1))
    decade = WIDTH / (last - first)
    mean = (quality.get("l0") or 0) / n_features
    living = sum(density["counts"])
    return DensityChart(
        EXPLANATIONS["density"],
        histogram,
        max(density["counts"]),
        living,
        n_features - living,
        quality.get("dead_tokens") or 0,
        tuple((decade * number, first + number) for number in range(last - first + 1)),
        decade * (log10(mean) - first) if mean > density["edges"][0] else None,
    )


def variant_rows(quality: Mapping[str, Any]) -> tuple[VariantRow, ...]:
    """Numbers of other tools beside ours; empty where they were not asked for."""
    found = quality.get("variants") or {}
    return tuple(
        VariantRow(tool, EXPLANATIONS[metric], found[name], quality.get(metric))
        for name, (tool, metric) in VARIANTS.items()
        if isinstance(found.get(name), int | float)
    )


def concept_evidence(quality: Mapping[str, Any]) -> ConceptEvidence:
    """Of what was measured; tuples are empty for the rest."""
    probing, absorption = quality.get("probing") or {}, quality.get("absorption") or {}
    probed = sorted(probing.get("rows", ()), key=lambda row: row["k1"])
    parents = sorted(absorption.get("rows", ()), key=lambda row: -row["fraction"])
    return ConceptEvidence(
        probing=_accuracies(probing) if probing.get("k1") is not None else (),
        probed=tuple(
            ProbedConcept(concept_title(row["concept"]), _accuracies(row), row["tested_tokens"]) for row in probed
        ),
        absorbed=tuple(
            ScaledBar(concept_title(row["parent"]), row["fraction"], 100 * row["fraction"])
            for row in parents[:MOST_ABSORBED]
        ),
        parents=tuple(_parent(row) for row in parents),
    )


def concept_title(name: str) -> str:
    """Of a planted concept its title, of a broader one its name in words."""
    return CONCEPTS[name].title if name in CONCEPTS else name.replace("-", " ").capitalize()


def _word(token: str) -> str:
    """A token's text in a sentence: with blanks at its ends that can be seen, as " Monday" and "Monday" are two."""
    blanks = str.maketrans({"\n": "↵", "\t": "→", " ": "·"})
    return token.translate(blanks)


def _accuracies(numbers: Mapping[str, Any]) -> tuple[ScaledBar, ...]:
    return tuple(
        ScaledBar(title, numbers[name], max(0.0, 100 * (numbers[name] - GUESSING) / (1 - GUESSING)))
        for name, title in PROBES.items()
    )


def _parent(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with titles, its most absorbed children first."""
    is_broader = row["parent"] not in CONCEPTS
    children = [
        child | {"title": concept_title(child["child"]) if is_broader else _word(child["child"])}
        for child in sorted(row["children"], key=lambda child: -child["fraction"])
    ]
    return {**row, "title": concept_title(row["parent"]), "children": children}
