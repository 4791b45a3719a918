"""Every number has an explanation, every explanation a page and a document, and they say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from experiments.metric_documents import metric_documents
from experiments.metric_explanations import EXPLANATIONS
from experiments.models import Experiment

DOCUMENTS = Path(__file__).resolve().parent.parent.parent / "docs" / "metrics"


def test_the_documents_are_what_the_command_writes() -> None:
    """`manage.py document_metrics` writes them."""
    written = {path.name: path.read_text("utf-8") for path in DOCUMENTS.glob("*.md")}
    assert written == metric_documents()


def test_every_explanation_says_everything() -> None:
    for name, one in EXPLANATIONS.items():
        assert one.name == name
        assert all((one.title, one.formula, one.meaning, one.good, one.tokens, one.elsewhere)), name


@pytest.mark.django_db
def test_every_metric_has_a_page(page_client: Client) -> None:
    index = page_client.get("/metrics/").content.decode()
    for name, one in EXPLANATIONS.items():
        assert f'href="/metrics/{name}/"' in index
        page = page_client.get(f"/metrics/{name}/")
        assert page.status_code == 200
        assert "Other tools" in page.content.decode()
        assert one.name in page.content.decode()
    assert page_client.get("/metrics/nothing/").status_code == 404


@pytest.mark.django_db
def test_the_card_shows_intervals_links_and_what_was_left_out(page_client: Client, finished: Experiment) -> None:
    finished.quality |= {
        "intervals": {"explained_variance": [0.9301, 0.9377]},
        "outliers_left_out": 1_234,
        "decoder_coherence": 0.41,
        "probing": {"k1": 0.9, "k2": 0.92, "k5": 0.95, "dense": 0.97, "skipped": 1, "rows": []},
        "absorption": {"share": 0.125, "fraction": None, "hierarchies": 2, "rows": []},
    }
    finished.save()
    page = page_client.get(finished.get_absolute_url()).content.decode()
    assert "95 % 0.930 to 0.938" in page
    assert 'href="/metrics/explained_variance/"' in page
    assert "1,234 outliers" in page
    assert "0.90 <" in page
    assert "12.5 %" in page
    assert "Decoder coherence" in page
    assert "Consistent activation" not in page  # this evaluation did not measure it
