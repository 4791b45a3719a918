"""Analyses in the admin: found by their text, shown as text, never edited."""

from __future__ import annotations

from django.test import Client

from experiments.models import Experiment
from tests.lens.conftest import read_now
from tests.lens.fake_lens import FakeLens


def test_analyses_can_be_searched_and_looked_at(
    experiment: Experiment, fake_lens: FakeLens, page_client: Client
) -> None:
    analysis = read_now(experiment, "Lily <b>sang</b>")
    read_now(experiment, "something else")
    listed = page_client.get("/admin/lens/analysis/", {"q": "sang"}).content.decode()
    assert "Lily &lt;b&gt;sang" in listed
    assert "something else" not in listed
    page = page_client.get(f"/admin/lens/analysis/{analysis.pk}/change/").content.decode()
    assert analysis.get_absolute_url() in page
    assert '<input type="submit" value="Save"' not in page
    assert page_client.get("/admin/lens/analysis/add/").status_code == 403
