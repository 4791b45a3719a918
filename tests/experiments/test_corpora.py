"""Uploads: what becomes a corpus, what is refused in a sentence, and what is left behind (nothing)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.models import Corpus
from experiments.services import uploads
from experiments.services.corpora import KeptUpload, add_hub_corpus, add_kept_upload, add_upload, keep_upload
from latentlens.lib.problems import Refused, TooLarge

pytestmark = pytest.mark.django_db
Upload = Callable[[str, str | bytes], Any]
TEXT = "A whole paragraph of text.\n\nAnd another one.\n" * 20


def test_a_text_becomes_a_corpus_addressed_by_its_hash(upload: Upload, data_dir: Path) -> None:
    corpus = add_upload(upload("my story.txt", TEXT))
    assert (corpus.name, corpus.source, corpus.size_bytes) == ("my story.txt", "upload", len(TEXT))
    assert corpus.file == f"{corpus.content_hash}.txt"
    assert (data_dir / "uploads" / corpus.file).read_text() == TEXT


def test_the_same_upload_twice_is_one_corpus(upload: Upload) -> None:
    assert add_upload(upload("a.txt", TEXT)).pk == add_upload(upload("a.txt", TEXT)).pk


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "holds no text"),
        ("a.txt", b"  \n\n ", "holds no text"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8"),
        ("a.txt", b"text\0text", "NUL"),
        ("a.txt", b"x" * 10_000_001, "longer than 10,000,000 bytes"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "surrogate"),
        ("a.jsonl", b"not json\n", "not JSON"),
        ("a.parquet", b"PAR1 but no", "not a readable Parquet"),
        ("a.csv", b"title,body\na,b\n", "no column “text”; the columns are: title, body"),
        ("a.exe", b"MZ", "ends in .txt, .jsonl, .csv, .parquet"),
        ("<script>alert(1)</script>.doc", b"x", "ends in"),
    ],
)
def test_a_bad_upload_is_refused_in_a_sentence_and_not_kept(
    upload: Upload, data_dir: Path, name: str, content: bytes, words: str
) -> None:
    with pytest.raises(Refused) as caught:
        add_upload(upload(name, content))
    assert words in caught.value.message
    assert str(data_dir) not in caught.value.message
    assert not Corpus.objects.exists()
    assert list((data_dir / "uploads").iterdir()) == []


def test_the_named_column_is_read(upload: Upload) -> None:
    corpus = add_upload(upload("a.csv", "title,body\nhello,world of text\n"), name="Named", column="body")
    assert (corpus.column, corpus.characters, corpus.name) == ("body", len("world of text"), "Named")


def test_a_stored_file_survives_a_wrong_column(upload: Upload) -> None:
    kept = keep_upload(upload("a.csv", "title,body\nhello,world\n"))
    with pytest.raises(Refused) as caught:
        add_kept_upload(kept, column="nope")
    assert list(caught.value.fields) == ["column"]
    again = KeptUpload.from_signed(kept.signed())
    assert add_kept_upload(again, column="body").documents == 1


@pytest.mark.parametrize("text", ["", "rubbish", "a:b:c"])
def test_a_forged_upload_is_refused(data_dir: Path, text: str) -> None:
    with pytest.raises(Refused, match="choose it again"):
        KeptUpload.from_signed(text)


def test_a_name_with_folders_is_only_a_name(upload: Upload, data_dir: Path) -> None:
    corpus = add_upload(upload("../../etc/evil.txt", TEXT))
    assert corpus.name == "evil.txt"
    assert len(list((data_dir / "uploads").iterdir())) == 1


def test_an_upload_that_never_ends_is_stopped(upload: Upload, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LARGEST_UPLOAD_BYTES", 10)
    with pytest.raises(TooLarge):
        keep_upload(upload("a.txt", TEXT))
    assert list((data_dir / "uploads").iterdir()) == []


def test_stored_files_that_became_nothing_are_swept_after_a_day(upload: Upload, data_dir: Path) -> None:
    used = add_upload(upload("used.txt", TEXT))
    kept = keep_upload(upload("forgotten.txt", TEXT + "more"))
    for path in (data_dir / "uploads").iterdir():
        os.utime(path, (0, 0))
    keep_upload(upload("new.txt", TEXT + "new"))
    names = {path.name for path in (data_dir / "uploads").iterdir()}
    assert used.file in names
    assert kept.file not in names


def test_a_hub_data_set_is_named_once(db: None) -> None:
    first = add_hub_corpus("hub:org/texts", "en", "", "body")
    assert (first.name, first.split, first.column) == ("org/texts · en · train", "train", "body")
    assert add_hub_corpus("org/texts", "en", "train", "body").pk == first.pk


@pytest.mark.parametrize("hub_id", ["", "a/b/c", "../x", "https://x", "/etc"])
def test_a_hub_data_set_is_no_path(hub_id: str) -> None:
    with pytest.raises(Refused) as caught:
        add_hub_corpus(hub_id)
    assert list(caught.value.fields) == ["corpus_hub_id"]
