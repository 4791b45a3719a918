"""What the experiment page draws of the quality numbers: densities, other tools' numbers, probing, absorption."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from experiments.metric_explanations import EXPLANATIONS
from experiments.models import Experiment
from experiments.quality_evidence import VARIANTS, concept_evidence, density_chart, variant_rows

EDGES = [10 ** (exponent / 4 - 6) for exponent in range(25)]
DENSITY = {"edges": EDGES, "counts": [0] * 8 + [3, 6, 12] + [0] * 12 + [1]}
PROBING = {
    "k1": 0.75, "k2": 0.8, "k5": 0.9, "dense": 1.0, "skipped": 0,
    "rows": [
        {"concept": "weekday", "k1": 1.0, "k2": 1.0, "k5": 1.0, "dense": 1.0, "tested_tokens": 200},
        {"concept": "hour", "k1": 0.5, "k2": 0.6, "k5": 0.8, "dense": 1.0, "tested_tokens": 90},
    ],
}  # fmt: skip
CHILD = {"child": " Monday", "tokens": 20, "share": 0.5, "fraction": 0.6}
ABSORPTION = {
    "share": 0.1, "fraction": 0.2, "hierarchies": 3,
    "rows": [
        {"parent": "city", "features": [3], "tokens": 90, "share": 0.0, "fraction": 0.1,
         "children": [{"child": "London", "tokens": 20, "share": 0.0, "fraction": 0.1}]},
        {"parent": "weekday", "features": [1, 2], "tokens": 100, "share": 0.2, "fraction": 0.3,
         "children": [{"child": "Friday", "tokens": 20, "share": 0.0, "fraction": 0.0}, CHILD]},
    ],
}  # fmt: skip


def test_the_density_chart_stands_on_decades() -> None:
    chart = density_chart({"density": DENSITY, "l0": 5.0, "dead_tokens": 1_000}, 100)
    assert chart is not None
    assert (chart.living, chart.dead, chart.tallest) == (22, 78, 12)
    assert [exponent for _, exponent in chart.decades] == list(range(-6, 1))
    assert (chart.decades[0][0], chart.decades[-1][0]) == (0, 560)
    assert chart.mean_x == pytest.approx(560 * (6 + -1.30103) / 6, abs=0.01)  # 5 of 100 features
    assert chart.histogram.bars[10].height == 150


def test_nothing_is_drawn_of_what_was_not_counted() -> None:
    assert density_chart({}, 100) is None
    assert density_chart({"density": {"edges": EDGES, "counts": [0] * 24}}, 100) is None
    assert variant_rows({}) == ()
    assert concept_evidence({"probing": {"k1": None, "rows": []}}).probing == ()


def test_each_number_of_another_tool_stands_beside_ours() -> None:
    found = variant_rows({"variants": {"sparsify_fvu": 0.1, "saebench_mse": None}, "fvu": 0.2})
    assert [(row.tool, row.explanation.name, row.theirs, row.ours) for row in found] == [("sparsify", "fvu", 0.1, 0.2)]
    assert {metric for _, metric in VARIANTS.values()} <= set(EXPLANATIONS)


def test_the_worst_come_first() -> None:
    evidence = concept_evidence({"probing": PROBING, "absorption": ABSORPTION})
    assert [bar.length for bar in evidence.probing] == pytest.approx([50, 60, 80, 100])
    assert [row.title for row in evidence.probed] == ["Hour", "Weekday"]
    assert [(bar.title, bar.length) for bar in evidence.absorbed] == [("Weekday", 30), ("City", 10)]
    assert [child["title"] for child in evidence.parents[0]["children"]] == ["·Monday", "Friday"]


@pytest.mark.django_db
def test_the_page_draws_them_and_links_every_metric(page_client: Client, finished: Experiment) -> None:
    numbers: dict[str, Any] = {"density": DENSITY, "probing": PROBING, "absorption": ABSORPTION}
    finished.quality |= numbers | {"dead_tokens": 100_000, "variants": {"openai_nmse": 0.123}}
    finished.quality["concepts"] = {"rows": [], "single_share_f1_80": 0.5, "fitted_tokens": 1, "scored_tokens": 1}
    finished.quality["concepts"]["rows"] = [{"title": "Weekday", "tokens": 9, "feature": None, "set": []}]
    finished.save()
    page = page_client.get(finished.get_absolute_url()).content.decode()
    assert "10⁻⁶" in page
    assert "How other tools would report it" in page
    assert "Monday" in page
    for name in ("density", "variants", "fvu", "probing", "absorption", "absorption_fraction"):
        assert f'href="/metrics/{name}/"' in page


@pytest.mark.django_db
def test_the_page_says_how_to_measure_what_other_tools_report(page_client: Client, finished: Experiment) -> None:
    finished.quality |= {"density": DENSITY}
    finished.save()
    assert (
        f"manage.py evaluate {finished.pk} --variants" in page_client.get(finished.get_absolute_url()).content.decode()
    )
