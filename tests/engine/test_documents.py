"""Documents in .txt, .jsonl, .csv and .parquet files, and one sentence for every way a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from experiments.engine.artifacts import sha256_of
from experiments.engine.conversations import messages_of
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.documents import (
    LINES_CHARACTERS,
    LONGEST_LINE_BYTES,
    PARAGRAPHS_CHARACTERS,
    inspect_upload,
    read_documents,
    text_column,
)


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(folder: Path, **columns: list[Any]) -> Path:
    parquet.write_table(pa.table(columns), folder / "table.parquet")
    return folder / "table.parquet"


def test_paragraphs_are_gathered_into_documents(tmp_path: Path) -> None:
    paragraph = "word " * 250 + "\n"  # 1,251 characters, so two of them make a document
    path = written(tmp_path, "text.txt", "\n".join([paragraph] * 5))
    documents = list(read_documents(path))
    assert [document.count("word") for document in documents] == [500, 500, 250]
    assert all(len(document) >= PARAGRAPHS_CHARACTERS for document in documents[:2])
    assert "".join("".join(documents).split()) == "word" * 1_250


def test_text_without_blank_lines_is_cut_at_a_line_end(tmp_path: Path) -> None:
    line = "x" * 99 + "\n"
    documents = list(read_documents(written(tmp_path, "text.txt", line * 500)))
    assert [len(document) for document in documents] == [LINES_CHARACTERS - 1, LINES_CHARACTERS - 1, 9_999]


def test_end_of_text_mark_ends_a_document(tmp_path: Path) -> None:
    path = written(tmp_path, "stories.txt", "One.\n\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\n\n<|endoftext|>\n")
    assert list(read_documents(path)) == ["One.\n\nStill one.", "Two."]


def test_windows_line_ends_and_byte_order_mark_are_no_text(tmp_path: Path) -> None:
    path = written(tmp_path, "text.txt", "\ufeffOne\r\ntwo\r\n")
    assert list(read_documents(path)) == ["One\ntwo"]


def test_json_lines(tmp_path: Path) -> None:
    lines = [{"text": "One", "n": 1}, {"text": "  "}, {"n": 2}, {"text": None}, {"text": "Tw\u00f6\n"}]
    path = written(tmp_path, "rows.jsonl", "\n".join(json.dumps(line) for line in lines) + "\n\n")
    assert list(read_documents(path)) == ["One", "Twö\n"]


def test_comma_separated_values_with_line_ends_inside(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", 'id,story\n1,"One, two\nthree"\n2,\n3\n4,"Fo""ur"\n')
    assert list(read_documents(path, "story")) == ["One, two\nthree", 'Fo"ur']


def test_parquet(tmp_path: Path) -> None:
    assert list(read_documents(table(tmp_path, n=[1, 2, 3], text=["One", None, "Three"]))) == ["One", "Three"]


def test_only_column_needs_no_name(tmp_path: Path) -> None:
    assert text_column(written(tmp_path, "rows.csv", "story\nOne\n"), None) == "story"
    assert text_column(written(tmp_path, "rows.jsonl", '{"story": "One"}\n'), None) == "story"
    assert text_column(table(tmp_path, story=["One"]), None) == "story"
    assert text_column(written(tmp_path, "text.txt", "One"), "story") is None


@pytest.mark.parametrize(
    ("name", "content"),
    [("rows.csv", b"id,story\n1,One\n"), ("rows.jsonl", b'{"id": 1, "story": "One"}\n'), ("rows.parquet", None)],
)
@pytest.mark.parametrize("column", [None, "body"])
def test_missing_column_is_answered_with_those_that_are_there(
    tmp_path: Path, name: str, content: bytes | None, column: str | None
) -> None:
    path = table(tmp_path, id=[1], story=["One"]) if content is None else written(tmp_path, name, content)
    with pytest.raises(CorpusError, match=f"no column “{column or 'text'}”; the columns are: id, story"):
        list(read_documents(path, column))


def test_report_of_an_upload(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", "".join(json.dumps({"text": f"Story {n}"}) + "\n" for n in range(5)))
    report = inspect_upload(path)
    assert (report.documents, report.characters, report.column) == (5, 35, "text")
    assert report.preview == ("Story 0", "Story 1", "Story 2")
    assert report.sha256 == sha256_of(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.txt", b"", "holds no text"),
        ("blank.txt", b" \n\n \n", "holds no text"),
        ("empty.csv", b"", "no column"),
        ("header.csv", b"text\n", "holds no text"),
        ("empty.jsonl", b"", "no column"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n\xff\xfe", "not UTF-8"),
        ("latin.txt", "Gr\xfc\xdfe".encode("latin-1"), "Line 1 is not UTF-8"),
        ("nul.txt", b"One\n\0two\n", "NUL"),
        ("nul.jsonl", b'{"text": "a\\u0000b"}\n', "Line 1 holds a NUL"),
        ("half.jsonl", b'{"text": "a\\ud800b"}\n', "half of a surrogate pair"),
        ("half.txt", b"a\xed\xa0\x80b\n", "not UTF-8"),
        ("rows.jsonl", b'{"text": "One"}\nOne\n', "Line 2 is not JSON"),
        ("deep.jsonl", b"[" * 100_000 + b"\n", "Line 1 is not JSON"),
        ("list.jsonl", b"[1]\n", "Line 1 is not a JSON object"),
        ("number.jsonl", b'{"text": 5}\n', "Line 1 holds int values where text is expected"),
        ("quotes.csv", b'text\n"One" two\n', "not valid CSV"),
        ("open.csv", b'text\n"One\n', "not valid CSV"),
        ("table.parquet", b"PAR1 no", "not a readable Parquet"),
        ("archive.gz", b"x", "ends in"),
        ("tool.exe", b"MZ", r"ends in \.txt, \.jsonl, \.csv, \.parquet"),
        ("long.txt", b"x" * (LONGEST_LINE_BYTES + 1), "Line 1 is longer than 10,000,000 bytes"),
        ("long.csv", b'text\n"' + b"x\n" * (LONGEST_LINE_BYTES // 2 + 9) + b'"\n', "field larger than"),
    ],
)
def test_file_that_is_no_corpus_gets_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(CorpusError, match=sentence) as refusal:
        inspect_upload(written(tmp_path, name, content))
    assert str(tmp_path) not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_parquet_column_of_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Row 1 holds int values"):
        inspect_upload(table(tmp_path, text=[1, 2]))


def test_damaged_parquet_is_refused_with_the_row(tmp_path: Path) -> None:
    path = table(tmp_path, text=["One and two and three"] * 3_000)
    content = bytearray(path.read_bytes())
    content[8:60] = b"\xff" * 52
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="Parquet"):
        inspect_upload(path)


def test_conversations_are_documents(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hö?"}, {"role": "assistant", "content": None, "tool": 1}]
    rows = [{"id": 1, "messages": messages}, {"id": 2, "messages": []}, {"id": 3, "messages": None}]
    path = written(tmp_path, "chats.jsonl", "\n".join(map(json.dumps, rows)))
    (document,) = read_documents(path, chat=True)
    assert messages_of(document) == [{"role": "user", "content": "Hö?"}, {"role": "assistant", "content": ""}]
    arrow = table(tmp_path, messages=[messages], id=[1])
    assert list(read_documents(arrow, chat=True)) == [document]
    assert inspect_upload(path, chat=True).column == "messages"


@pytest.mark.parametrize(
    "value", ["Hello", [1], [{"role": "user", "content": 5}], [{"content": "Hello"}], {"role": "a"}]
)
def test_row_that_is_no_conversation_is_refused(tmp_path: Path, value: Any) -> None:
    path = written(tmp_path, "chats.jsonl", json.dumps({"messages": value}))
    with pytest.raises(CorpusError, match="Line 1 holds no conversation"):
        inspect_upload(path, chat=True)


def test_plain_text_holds_no_conversations(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Plain text holds no conversations"):
        inspect_upload(written(tmp_path, "a.txt", "One"), chat=True)
