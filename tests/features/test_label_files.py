"""Labels in files: every format gives back what it was given, and a file from elsewhere is judged before."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from features.models import Feature, Label, LabelImport
from features.services.gallery import GalleryFilter
from features.services.label_files import FORMATS, apply_import, check_import, export, start_import
from features.services.label_files.columns import FEATURE_COLUMNS, LABEL_COLUMNS
from features.services.labels import Author, LabelDraft, add_label, edit_label, withdraw_label
from latentlens.lib.csv_cells import original_cell, safe_cell

NASTY = ["=1+1", "+cmd", "-x", "@sum", "'quoted", "'=quoted", 'say "x", y', "über 日本語 🎉", "<b>markup</b>", "a;b"]

KEPT = ("text", "note", "confidence", "who", "method", "review", "score", "is_current", "created_at")


def labelled(experiment: Experiment, owner: User) -> list[dict[str, Any]]:
    """Labels with everything a label can hold, and their rows."""
    for number, text in enumerate(NASTY):
        feature = Feature.objects.get(experiment=experiment, index=number % 4)
        draft = LabelDraft.of(text, f"note\nof “{text}”", ["t1", f"=t{number}"], number / 10 if number else None)
        author = Author.person(owner) if number % 2 else Author.machine("token statistics")
        add_label(feature.pk, draft, author, review="pending" if number == 4 else "", score=0.1 * number or None)
    return content()


def content() -> list[dict[str, Any]]:
    """Everything about all labels but their keys."""
    return [
        {
            "feature": label.feature.index,
            "tags": sorted(tag.name for tag in label.tags.all()),
            **{
                name: getattr(label, name)
                for name in (
                    "text",
                    "note",
                    "confidence",
                    "who",
                    "method",
                    "review",
                    "score",
                    "is_current",
                    "created_at",
                )
            },
        }
        for label in Label.objects.order_by("created_at", "pk")
    ]


def exported(experiment: Experiment, name: str, folder: Path, contents: str = "labels") -> Path:
    made = export(experiment.pk, GalleryFilter(), contents, FORMATS[name])
    path = folder / made.filename
    with made.file:
        path.write_bytes(made.file.read())
    return path


def imported(experiment: Experiment, path: Path, user: User | None = None, **choices: Any) -> LabelImport:
    row = start_import(experiment, SimpleUploadedFile(path.name, path.read_bytes()), user)
    check_import(row)
    if row.status == LabelImport.Status.CHECKED:
        row.take_conflicting = choices.get("take_conflicting", False)
        apply_import(row)
    return row


def counts(row: LabelImport) -> dict[str, int]:
    return {name: count for name, count in row.report.items() if isinstance(count, int) and count and name != "rows"}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_what_it_was_given(
    experiment: Experiment, owner: User, tmp_path: Path, name: str
) -> None:
    before = labelled(experiment, owner)
    path = exported(experiment, name, tmp_path)
    Label.objects.all().delete()
    row = imported(experiment, path, owner)
    assert (row.status, counts(row)) == ("applied", {"new": len(NASTY)})
    assert content() == before
    again = imported(experiment, path, owner)
    assert counts(again) == {"same": len(NASTY)}
    assert content() == before


# An empty file of JSON lines has no byte at all, and is refused as what it mostly is: the wrong file.
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "jsonl"])
def test_an_empty_experiment_exports_an_empty_file(experiment: Experiment, tmp_path: Path, name: str) -> None:
    row = imported(experiment, exported(experiment, name, tmp_path))
    assert (row.status, counts(row)) == ("applied", {})


@pytest.mark.parametrize("name", FORMATS)
def test_features_leave_with_their_current_label(
    experiment: Experiment, weekday: Feature, tmp_path: Path, name: str
) -> None:
    add_label(weekday.pk, LabelDraft.of("days", tags=["dates"]), Author())
    path = exported(experiment, name, tmp_path, "features")
    assert path.stat().st_size > 0
    if name in ("json", "jsonl"):
        first = path.read_text().strip().removeprefix("[").strip().splitlines()[0].removesuffix(",")
        row = json.loads(first)
        assert (row["feature"], row["label"], row["tags"]) == (weekday.index, "days", ["dates"])
        assert list(row) == [column.name for column in FEATURE_COLUMNS]


def test_what_was_changed_there_is_changed_and_what_was_changed_here_conflicts(
    experiment: Experiment, weekday: Feature, tmp_path: Path
) -> None:
    first = add_label(weekday.pk, LabelDraft.of("days"), Author())
    second = add_label(weekday.pk, LabelDraft.of("dates"), Author())
    rows = [json.loads(line) for line in exported(experiment, "jsonl", tmp_path).read_text().splitlines()]
    for row in rows:
        row["text"] += " there"
    edit_label(weekday.pk, second.pk, LabelDraft("dates here"), Author())
    path = tmp_path / "back.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert counts(imported(experiment, path)) == {"changed": 1, "conflicting": 1}
    assert set(Label.objects.values_list("text", flat=True)) == {"days there", "dates here"}
    imported(experiment, path, take_conflicting=True)
    assert set(Label.objects.values_list("text", flat=True)) == {"days there", "dates there"}
    first.refresh_from_db()
    assert first.version == 2


def test_a_withdrawn_label_does_not_come_back_by_itself(
    experiment: Experiment, weekday: Feature, tmp_path: Path
) -> None:
    label = add_label(weekday.pk, LabelDraft.of("days"), Author())
    path = exported(experiment, "csv", tmp_path)
    withdraw_label(weekday.pk, label.pk, Author())
    imported(experiment, path)
    assert not Label.objects.filter(withdrawn_at=None).exists()


def test_a_file_from_elsewhere_needs_two_columns(experiment: Experiment, owner: User, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('text,tags,feature,extra\nweekdays,"Dates, time",0,x\nnumbers,,1,\nnothing,,77777,\n ,,2,\n')
    row = imported(experiment, path, owner)
    assert counts(row) == {"new": 2, "unknown": 1, "refused": 1}
    assert row.report["problems"] == [
        "Row 4: Text is empty: type at least one character.",
        "This experiment has no feature 77,777 (label “nothing”).",
    ]
    label = Label.objects.get(text="weekdays")
    assert (label.who, label.user, label.is_current) == ("owner", owner, True)
    assert sorted(tag.name for tag in label.tags.all()) == ["dates", "time"]
    assert [revision.who for revision in label.revisions.all()] == ["owner"]
    assert counts(imported(experiment, path, owner)) == {"same": 2, "unknown": 1, "refused": 1}


def test_another_s_name_is_kept_but_is_not_their_account(experiment: Experiment, owner: User, tmp_path: Path) -> None:
    somebody = User.objects.create_user("somebody")
    path = tmp_path / "theirs.jsonl"
    path.write_text('{"feature": 0, "text": "days", "author": "owner"}')
    imported(experiment, path, somebody)
    label = Label.objects.get()
    assert (label.who, label.user) == ("owner", None)
    assert label.revisions.get().user == somebody


def test_a_person_s_current_label_stays_current(experiment: Experiment, weekday: Feature, tmp_path: Path) -> None:
    add_label(weekday.pk, LabelDraft.of("mine"), Author())
    path = tmp_path / "theirs.jsonl"
    path.write_text(f'{{"feature": {weekday.index}, "text": "theirs"}}')
    imported(experiment, path)
    assert Label.objects.get(is_current=True).text == "mine"


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("x.csv", b"feature,words\n1,a\n", "no column text"),
        ("x.csv", b"feature,text\n1\n", "another number of cells"),
        ("x.csv", b"feature,text\n1,\xff\xfe\n", "not UTF-8"),
        ("x.json", b'[{"feature": 1, "text": "a"}, {"feature"', "cut off"),
        ("x.json", b'{"feature": 1}', "not a JSON array"),
        ("x.json", b"[1, 2]", "not an object"),
        ("x.jsonl", b'{"feature": 1, "text": "a"}\n{"feature": ', "cut off"),
        ("x.jsonl", b'{"text": "a"}', "no column feature"),
        ("x.parquet", b"PAR1 and then nothing", "no complete Parquet"),
        ("x.h5", b"\x89HDF\r\n\x1a\n half", "no complete HDF5"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_sentence_and_changes_nothing(
    experiment: Experiment, tmp_path: Path, name: str, data: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    row = imported(experiment, path)
    assert row.status == "failed"
    assert sentence in row.error
    assert not Label.objects.exists()


def test_a_half_written_file_keeps_what_was_written_and_can_be_sent_again(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.services.label_files.importing.ROWS_AT_ONCE", 2)
    lines = [json.dumps({"feature": number % 4, "text": f"label {number}"}) for number in range(5)]
    path = tmp_path / "half.jsonl"
    path.write_text("\n".join(lines[:4]) + "\n" + lines[4][:9])
    row = start_import(experiment, SimpleUploadedFile(path.name, path.read_bytes()), None)
    apply_import(row)
    assert (row.status, row.rows_done, Label.objects.count()) == ("failed", 4, 4)
    path.write_text("\n".join(lines))
    assert counts(imported(experiment, path)) == {"new": 1, "same": 4}
    assert Label.objects.count() == 5


def test_cells_that_look_like_formulas_are_text_and_come_back() -> None:
    for text in [*NASTY, "", "'", "''", "\tx", "1"]:
        safe = safe_cell(text)
        assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert original_cell(safe) == text
    assert safe_cell(-1.5) == -1.5
    assert original_cell("'tis") == "'tis"


def test_labels_leave_and_come_back_by_the_page(
    page_client: Client, experiment: Experiment, weekday: Feature, django_capture_on_commit_callbacks: Any
) -> None:
    add_label(weekday.pk, LabelDraft.of("=days"), Author())
    page = page_client.get(reverse("features:files", args=[experiment.pk]))
    assert "contents=labels&amp;format=parquet" in page.content.decode()
    address = reverse("features:export", args=[experiment.pk], query={"format": "csv", "token": "monday"})
    answer = page_client.get(address)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    data = b"".join(answer.streaming_content)
    assert b"'=days" in data
    Label.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        sent = page_client.post(
            reverse("features:start-import", args=[experiment.pk]), {"file": SimpleUploadedFile("x.csv", data)}
        )
    row = LabelImport.objects.get()
    check_import(row)
    html = page_client.get(sent.headers["Location"]).content.decode()
    assert "What would happen" in html
    page_client.post(reverse("features:apply-import", args=[experiment.pk, row.pk]))
    row.refresh_from_db()
    assert row.status == "applying"
    apply_import(row)
    assert Label.objects.get().text == "=days"
    assert "were written" in page_client.get(sent.headers["Location"]).content.decode()
    page_client.post(reverse("features:discard-import", args=[experiment.pk, row.pk]))
    assert not LabelImport.objects.exists()
    assert Label.objects.exists()


@pytest.mark.parametrize(
    "query", [{"format": "exe"}, {"contents": "passwords"}, {"min_density": "x"}, {"token": "\x00"}]
)
def test_an_export_that_makes_no_sense_is_a_sentence(
    page_client: Client, experiment: Experiment, query: dict[str, str]
) -> None:
    answer = page_client.get(reverse("features:export", args=[experiment.pk], query=query))
    assert answer.status_code == 422
    assert "notice--bad" in answer.content.decode()


@pytest.mark.parametrize("file", [None, SimpleUploadedFile("x.exe", b"MZ"), SimpleUploadedFile("x.csv", b"")])
def test_an_upload_that_is_no_file_of_labels_keeps_nothing(
    page_client: Client, experiment: Experiment, file: SimpleUploadedFile | None
) -> None:
    answer = page_client.post(reverse("features:start-import", args=[experiment.pk]), {"file": file} if file else {})
    assert answer.status_code == 422
    assert not LabelImport.objects.exists()


def test_the_api_does_the_same(api_client: Client, experiment: Experiment, weekday: Feature) -> None:
    add_label(weekday.pk, LabelDraft.of("days"), Author())
    answer = api_client.get("/api/labels/export", {"experiment": experiment.pk, "format": "jsonl"})
    data = b"".join(answer.streaming_content)
    assert json.loads(data)["text"] == "days"
    started = api_client.post(
        f"/api/labels/imports?experiment={experiment.pk}", {"file": SimpleUploadedFile("x.jsonl", data)}
    )
    assert started.status_code == 201, started.content
    address = f"/api/labels/imports/{started.json()['id']}"
    conflict = api_client.post(f"{address}/apply", {}, content_type="application/json")
    assert conflict.status_code == 409
    check_import(LabelImport.objects.get())
    assert api_client.get(address).json()["report"]["same"] == 1
    assert api_client.post(f"{address}/apply", {}, content_type="application/json").status_code == 202
    assert api_client.delete(address).status_code == 204
    assert api_client.get(address).status_code == 404
    assert api_client.get("/api/labels/export", {"experiment": 999}).status_code == 404


def test_commands_write_and_read_files(experiment: Experiment, weekday: Feature, tmp_path: Path) -> None:
    add_label(weekday.pk, LabelDraft.of("days"), Author())
    path, out = tmp_path / "labels.h5", StringIO()
    call_command("export_labels", experiment.pk, path, stdout=out)
    Label.objects.all().delete()
    call_command("import_labels", experiment.pk, path, "--dry-run", stdout=out)
    assert not Label.objects.exists()
    call_command("import_labels", experiment.pk, path, stdout=out)
    assert Label.objects.get().text == "days"
    assert "1 new, 0 same" in out.getvalue()
    (tmp_path / "labels.txt").write_text("days")
    with pytest.raises(CommandError, match=r"from \.csv"):
        call_command("import_labels", experiment.pk, tmp_path / "labels.txt", stdout=out)


def test_the_columns_of_the_documentation_are_those_of_the_files() -> None:
    text = (Path(__file__).parents[2] / "docs" / "labels.md").read_text()
    for column in LABEL_COLUMNS:
        assert f"`{column.name}`" in text
