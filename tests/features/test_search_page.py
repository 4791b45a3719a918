"""Searching by page, API and command: one service, the same answers, the same refusals."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client
from django.urls import reverse

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from tests.features import synthetic_index as synthetic
from tests.features.conftest import new_experiment
from tests.features.synthetic_index import SyntheticIndex

QUERY = f"fires({synthetic.WEEKDAY}) and document < 30"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def url(experiment: Experiment) -> str:
    return reverse("features:search", args=[experiment.pk])


def text_of(content: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", content))


def test_without_a_query_the_page_says_what_can_be_asked(page_client: Client, url: str) -> None:
    page = page_client.get(url)
    assert page.status_code == 200
    assert "What can be asked" in page.content.decode()
    assert "within 5 tokens of" in page.content.decode()


def test_matches_are_counted_and_shown_as_heat_maps(page_client: Client, url: str, truth: SyntheticIndex) -> None:
    content = page_client.get(url, {"query": QUERY}).content.decode()
    found = [pair for pair in truth.strongest(synthetic.WEEKDAY) if truth.tokens[pair[1]][2] < 30]
    assert f"{len(found)} tokens in 30 documents" in text_of(content)
    shown = re.findall(r"token--selected[^>]*position ([\d,]+)", content)
    assert [int(place.replace(",", "")) for place in shown] == [place for _, place in found[:20]]
    assert "heat-7 token--selected" in content
    assert f'value="{html.escape(QUERY)}"' in content


def test_more_matches_follow_by_cursor_as_a_page_and_as_rows(page_client: Client, url: str) -> None:
    first = page_client.get(url, {"query": QUERY}).content.decode()
    (link,) = re.findall(r'class="button" href="([^"]*cursor[^"]*)"', first)
    address = url + html.unescape(link)
    whole, rows = page_client.get(address), page_client.get(address, headers=HTMX)
    assert "<html" in whole.content.decode()
    assert "back to the first" in whole.content.decode()
    for content in (whole.content.decode(), rows.content.decode()):
        assert content.count("token--selected") == 10
        assert "More matches" not in content
    assert "<html" not in rows.content.decode()


def test_htmx_gets_the_results_alone(page_client: Client, url: str) -> None:
    content = page_client.get(url, {"query": QUERY}, headers=HTMX).content.decode()
    assert content.lstrip().startswith('<section id="search-results">')


def test_an_error_points_at_the_character_and_keeps_what_was_typed(page_client: Client, url: str) -> None:
    page = page_client.get(url, {"query": "fires(12 <b>"})
    content = page.content.decode()
    assert page.status_code == 422
    assert "Expected ) at character 10." in text_of(content)
    assert f"fires(12 &lt;b&gt;\n{' ' * 9}^" in content
    assert 'value="fires(12 &lt;b&gt;"' in content


@pytest.mark.parametrize("cursor", ["x", "1", "nan:3", "1:-4", "inf:1", "1:99999999999999999999999"])
def test_a_cursor_that_is_none_is_refused(page_client: Client, url: str, cursor: str) -> None:
    page = page_client.get(url, {"query": QUERY, "cursor": cursor})
    assert page.status_code == 422
    assert "start again without it" in page.content.decode()


def test_nothing_found_is_said(page_client: Client, url: str) -> None:
    assert "No token satisfies this query" in page_client.get(url, {"query": 'token = "nowhere"'}).content.decode()


def test_markup_in_the_text_is_shown_and_not_run(page_client: Client, url: str) -> None:
    content = page_client.get(url, {"query": f'token = "{synthetic.SCRIPT}"'}).content.decode()
    assert synthetic.SCRIPT not in content
    assert html.escape(synthetic.SCRIPT) in content


def test_an_unfinished_experiment_has_nothing_to_search(page_client: Client) -> None:
    running = new_experiment(Experiment.Status.RUNNING)
    content = page_client.get(reverse("features:search", args=[running.pk])).content.decode()
    assert "Not yet" in content
    assert (
        page_client.get(reverse("features:search-export", args=[running.pk]), {"query": "fires(1)"}).status_code == 409
    )


def test_a_missing_index_is_one_sentence(page_client: Client, url: str, experiment: Experiment) -> None:
    experiment_folder(experiment.pk).activations.unlink()
    page = page_client.get(url, {"query": QUERY})
    assert page.status_code == 409
    assert "harvest it again" in page.content.decode()


def test_exports_hold_every_match(page_client: Client, url: str, truth: SyntheticIndex) -> None:
    wanted = sorted(place for _, place in truth.strongest(synthetic.WEEKDAY) if truth.tokens[place][2] < 30)
    bodies = {}
    for format in ("csv", "jsonl", "parquet"):
        answer = page_client.get(f"{url}export/", {"query": QUERY, "format": format})
        assert f'filename="search-{url.split("/")[2]}.{format}"' in answer["Content-Disposition"]
        bodies[format] = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(bodies["csv"].decode())))
    assert [int(row["position"]) for row in rows] == wanted
    assert [json.loads(line)["position"] for line in bodies["jsonl"].splitlines()] == wanted
    assert pq.read_table(io.BytesIO(bodies["parquet"]))["position"].to_pylist() == wanted


def test_exports_are_sent_in_pieces_by_the_asynchronous_server(
    url: str, page_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentlens.lib.downloads.PIECE_BYTES", 100)
    client = AsyncClient()
    client.cookies = page_client.cookies

    async def pieces() -> list[bytes]:
        answer = await client.get(f"{url}export/", {"query": QUERY, "format": "csv"})
        return [piece async for piece in answer.streaming_content]

    found = async_to_sync(pieces)()
    assert len(found) > 3
    assert len(b"".join(found).splitlines()) == 31


def test_an_unknown_format_is_refused(page_client: Client, url: str) -> None:
    answer = page_client.get(f"{url}export/", {"query": QUERY, "format": "exe"})
    assert answer.status_code == 422
    assert "csv, jsonl, parquet" in answer.content.decode()


def test_the_api_gives_the_same_matches(api_client: Client, experiment: Experiment, truth: SyntheticIndex) -> None:
    first = api_client.get("/api/search", {"experiment": experiment.pk, "query": QUERY, "limit": 25}).json()
    rest = api_client.get(
        "/api/search", {"experiment": experiment.pk, "query": QUERY, "limit": 25, "cursor": first["next"]}
    ).json()
    assert (first["total"], first["documents"], first["coloured"]) == (30, 30, synthetic.WEEKDAY)
    found = [(item["activation"], item["position"]) for item in first["items"] + rest["items"]]
    assert found == [pair for pair in truth.strongest(synthetic.WEEKDAY) if truth.tokens[pair[1]][2] < 30]
    assert rest["next"] is None
    refused = api_client.get("/api/search", {"experiment": experiment.pk, "query": "fires("})
    assert refused.status_code == 422
    assert "at character 7" in refused.json()["error"]["fields"]["query"]
    assert api_client.get("/api/search", {"experiment": 99_999, "query": QUERY}).status_code == 404
    exported = api_client.get("/api/search/export", {"experiment": experiment.pk, "query": QUERY})
    assert len(b"".join(exported.streaming_content).splitlines()) == 30  # type: ignore[attr-defined]


def test_the_command_prints_and_writes(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("query", str(experiment.pk), QUERY, "--limit", "2")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "30 tokens in 30 documents"
    assert len(printed) == 3
    assert "»" in printed[1]
    call_command("query", str(experiment.pk), QUERY, "--json", "--limit", "2")
    assert len(json.loads(capsys.readouterr().out)["page"]["items"]) == 2
    call_command("query", str(experiment.pk), QUERY, "--out", str(tmp_path / "found.parquet"))
    assert pq.read_metadata(tmp_path / "found.parquet").num_rows == 30
    with pytest.raises(CommandError, match=r"at character 7\.\nfires\(\n      \^"):
        call_command("query", str(experiment.pk), "fires(")
    with pytest.raises(CommandError, match="must end with one of"):
        call_command("query", str(experiment.pk), QUERY, "--out", str(tmp_path / "found.exe"))
    with pytest.raises(CommandError, match="no experiment 99999"):
        call_command("query", "99999", QUERY)
