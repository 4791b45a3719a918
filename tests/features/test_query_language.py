"""The query language: what it says, where errors point, and its answers against plain evaluation in Python."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic_index import Size, write_index
from experiments.engine.artifacts import ExperimentFolder
from features.activation_index import ActivationIndex
from features.queries import QueryError, parse
from features.queries.compiler import Compiler
from features.queries.conditions import Activation, And, DocumentKind, Not, Or, Place, TokenText, Within
from features.queries.search import BEGINNING, Search
from features.queries.texts import matching

CONTEXT = 16


def test_operators_bind_from_within_over_not_and_and_to_or() -> None:
    assert parse("fires(1) or fires(2) and not fires(3) within 4 tokens of fires(5)") == Or(
        (
            Activation(1, ">", 0),
            And((Activation(2, ">", 0), Not(Within(Activation(3, ">", 0), 4, Activation(5, ">", 0))))),
        )
    )
    assert parse("(fires(1) OR fires(2)) AND fires(3)") == And(
        (Or((Activation(1, ">", 0), Activation(2, ">", 0))), Activation(3, ">", 0))
    )


def test_every_condition_says_what_it_is() -> None:
    assert parse("activation(12) >= 3.5") == Activation(12, ">=", 3.5)
    assert parse('token ~ "ba\\"nk\\n"') == TokenText(0, "~", 'ba"nk\n', False)
    assert parse('next != " of"') == TokenText(1, "!=", " of", False)
    assert parse("previous !~ /^a\\/b$/") == TokenText(-1, "!~", "^a\\/b$", True)
    assert parse('kind = "letter"') == DocumentKind("=", "letter", False)
    assert parse("offset < 10") == Place("offset", "<", 10)
    assert parse("fires(1) within 1 token of position = 7") == Within(
        Activation(1, ">", 0), 1, Place("position", "=", 7)
    )


@pytest.mark.parametrize(
    ("query", "message", "character"),
    [
        ("", "The query is empty", None),
        ("fires(12", "Expected )", 9),
        ("fires 12", "Expected (", 7),
        ("fires(1.5)", "Expected the index of a feature", 7),
        ("fires(99999999999)", "Expected the index of a feature", 7),
        ("fires(1) and", "Expected a condition", 13),
        ("fires(1) fires(2)", "Expected and, or, or the end", 10),
        ("(fires(1)", "Expected )", 10),
        ("fires(1))", "Expected and, or, or the end", 9),
        ("token ~ bank", "Expected a string", 9),
        ('token > "a"', "Expected =, !=, ~ or !~", 7),
        ("token = /a/", "compared by ~ or !~", 9),
        ('token = "a', "closing quote", 9),
        ("token ~ /a", "closing slash", 9),
        ('token ~ "\\q"', "is none of", 10),
        ("token ~ “bank”", "straight double quotes", 9),
        ("activation(3) > x", "Expected a number", 17),
        ("activation(3) > 1e999", "Expected a number", 17),
        ("fires(1) within 900 tokens of fires(2)", "Expected a number of tokens from 1 to 128", 17),
        ("fires(1) within 9 of fires(2)", "Expected tokens", 19),
        ("fires(1); drop table x", "means nothing here", 9),
        (" and ".join(["fires(1)"] * 33), "at most 32 conditions", None),
        ("(" * 33 + "fires(1)" + ")" * 33, "at most 32 deep", 33),
        ("not " * 40 + "fires(1)", "at most 32 deep", None),
        ("fires(1) or " * 100, "at most 1,000 characters", None),
    ],
)
def test_errors_point_at_the_character(query: str, message: str, character: int | None) -> None:
    with pytest.raises(QueryError, match=re.escape(message)) as refused:
        parse(query)
    if character is not None:
        assert refused.value.message.endswith(f" at character {character}.")
        assert refused.value.pointer.splitlines()[1] == " " * (character - 1) + "^"


@given(st.text(alphabet=st.sampled_from('firesactokn()<>=~!"/\\. 0129andwithof'), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_query_or_one_sentence(text: str) -> None:
    error = None
    try:
        parse(text)
    except QueryError as refused:
        error = refused
    if error is not None:
        assert "\n" not in error.message.replace(text, "")
        assert error.position is None or 0 <= error.position <= len(text)


def test_what_people_type_is_always_a_parameter() -> None:
    texts = "'; DROP TABLE tokens; --"
    condition = parse(f'token = "{texts}" and kind ~ "{texts}" and activation(1234567) > 98765 and document = 424242')
    compiled = Compiler(16, lambda *_: [7_777_777], lambda *_: [texts]).compile(condition)
    for typed in ("DROP", "1234567", "98765", "424242", "7777777"):
        assert typed not in compiled.expression
    assert {1_234_567, 98_765.0, 424_242.0} <= {
        value for value in compiled.parameters.values() if not isinstance(value, list)
    }


def test_texts_are_the_same_contained_or_found() -> None:
    texts = [" bank", "Bank", "river", "a/b"]
    assert matching(texts, "=", "Bank", False) == [1]
    assert matching(texts, "~", "BANK", False) == [0, 1]
    assert matching(texts, "!~", "bank", False) == [2, 3]
    assert matching(texts, "~", "^B", True) == [1]
    assert matching(texts, "~", "(?i)^ ?b", True) == [0, 1]
    assert matching(texts, "~", "a\\/b", True) == [3]
    with pytest.raises(QueryError, match="is no regular expression"):
        matching(texts, "~", "[", True)
    with pytest.raises(QueryError, match="at most 200 characters"):
        matching(texts, "~", "a" * 201, True)


class Truth:
    """The index in plain Python, on which conditions are evaluated token by token."""

    def __init__(self, folder: ExperimentFolder) -> None:
        text = pq.read_table(folder.tokens).to_pydict()
        self.read, self.documents, ids = text["read"], text["document"], text["token"]
        vocabulary = json.loads(folder.vocabulary.read_text())
        self.texts = [vocabulary[token] for token in ids]
        self.kinds = {row["document"]: row["kind"] for row in pq.read_table(folder.documents).to_pylist()}
        self.activations: dict[int, dict[int, float]] = defaultdict(dict)
        for feature, position, activation in zip(*pq.read_table(folder.activations).to_pydict().values(), strict=True):
            self.activations[feature][position] = activation

    def find(self, holds: Callable[[int], bool]) -> list[int]:
        return [place for place, was_read in enumerate(self.read) if was_read and holds(place)]

    def activation(self, feature: int, place: int) -> float:
        return self.activations[feature].get(place, 0.0)

    def neighbour(self, place: int, shift: int) -> str:
        other = place + shift
        inside = 0 <= other < len(self.texts) and other // CONTEXT == place // CONTEXT
        return self.texts[other] if inside else ""

    def near(self, place: int, reach: int, holds: Callable[[int], bool]) -> bool:
        around = range(max(0, place - reach), min(len(self.texts), place + reach + 1))
        return any(holds(other) for other in around if other // CONTEXT == place // CONTEXT and self.read[other])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    folder = ExperimentFolder(tmp_path_factory.mktemp("searched"))
    write_index(folder, Size(12, tokens=1_500, l0=3.0, context_length=CONTEXT, vocabulary=40, seed=3))
    return folder


@pytest.fixture(scope="module")
def truth(folder: ExperimentFolder) -> Truth:
    return Truth(folder)


CASES: dict[str, Callable[[Truth, int], bool]] = {
    "fires(1)": lambda t, p: t.activation(1, p) > 0,
    "not fires(1)": lambda t, p: t.activation(1, p) == 0,
    "fires(1) and not fires(2)": lambda t, p: t.activation(1, p) > 0 and t.activation(2, p) == 0,
    "fires(1) or fires(3) and fires(2)": lambda t, p: (
        t.activation(1, p) > 0 or (t.activation(3, p) > 0 and t.activation(2, p) > 0)
    ),
    "activation(2) > 3": lambda t, p: t.activation(2, p) > 3,
    "activation(2) < 3": lambda t, p: t.activation(2, p) < 3,
    "activation(2) >= 0": lambda t, p: True,
    "activation(2) = 0": lambda t, p: t.activation(2, p) == 0,
    "activation(2) != 0 and offset >= 5": lambda t, p: t.activation(2, p) != 0 and p % CONTEXT >= 5,
    'token = " ke"': lambda t, p: t.texts[p] == " ke",
    'token != " ke" and position < 40': lambda t, p: t.texts[p] != " ke" and p < 40,
    'token ~ "KE"': lambda t, p: "ke" in t.texts[p],
    'token !~ "e" and document = 2': lambda t, p: "e" not in t.texts[p] and t.documents[p] == 2,
    "token ~ /^ k.{3}$/": lambda t, p: re.search("^ k.{3}$", t.texts[p]) is not None,
    'next ~ "ke"': lambda t, p: "ke" in t.neighbour(p, 1),
    'previous = " ke"': lambda t, p: t.neighbour(p, -1) == " ke",
    'kind = "letter" and fires(1)': lambda t, p: t.kinds[t.documents[p]] == "letter" and t.activation(1, p) > 0,
    'kind ~ "t" and not (fires(1) or fires(2))': lambda t, p: (
        "t" in t.kinds[t.documents[p]] and not (t.activation(1, p) > 0 or t.activation(2, p) > 0)
    ),
    "fires(1) within 3 tokens of fires(2)": lambda t, p: (
        t.activation(1, p) > 0 and t.near(p, 3, lambda other: t.activation(2, other) > 0)
    ),
    'token ~ "k" within 2 tokens of (fires(1) and not token ~ "k")': lambda t, p: (
        "k" in t.texts[p] and t.near(p, 2, lambda other: t.activation(1, other) > 0 and "k" not in t.texts[other])
    ),
    'not token ~ "k" within 1 token of next ~ "k"': lambda t, p: (
        not ("k" in t.texts[p] and t.near(p, 1, lambda other: "k" in t.neighbour(other, 1)))
    ),
    "fires(11) and fires(0) and fires(11)": lambda t, p: t.activation(11, p) > 0 and t.activation(0, p) > 0,
    "fires(2000000)": lambda t, p: False,
    'token = "nowhere"': lambda t, p: False,
}


@pytest.mark.parametrize("query", CASES)
def test_a_search_finds_what_satisfies_it_and_pages_without_gap_or_repeat(
    folder: ExperimentFolder, truth: Truth, query: str
) -> None:
    expected = truth.find(lambda place: CASES[query](truth, place))
    found = Search(ActivationIndex(folder), query)
    strength = found.coloured if found.coloured is not None else -1
    expected.sort(key=lambda place: (-truth.activation(strength, place), place))
    assert found.count() == (len(expected), len({truth.documents[place] for place in expected}))
    page, positions = found.page(400), []
    positions += [match.position for match in page.items]
    while page.after:
        page = found.page(400, page.after)
        assert (page.total, page.documents) == found.count()
        positions += [match.position for match in page.items]
    assert positions == expected


def test_matches_show_their_context_in_the_colour_of_the_first_feature(folder: ExperimentFolder, truth: Truth) -> None:
    page = Search(ActivationIndex(folder), "not fires(3) and fires(1)").page(30)
    assert page.coloured == 3
    for match in page.items:
        assert match.token == truth.texts[match.position]
        assert (match.document, match.kind) == (truth.documents[match.position], truth.kinds[match.document])
        assert match.position in [token.position for token in match.tokens]
        for token in match.tokens:
            assert token.activation == truth.activation(3, token.position)


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_an_export_holds_every_match_with_its_activations(
    folder: ExperimentFolder, truth: Truth, tmp_path: Path, format: str
) -> None:
    query, path = 'fires(1) and (fires(2) or token ~ "k")', tmp_path / "matches"
    Search(ActivationIndex(folder), query).write(path, format)
    read: dict[str, Callable[[], list[dict[str, object]]]] = {
        "csv": lambda: list(csv.DictReader(path.read_text().splitlines())),
        "jsonl": lambda: [json.loads(line) for line in path.read_text().splitlines()],
        "parquet": lambda: pq.read_table(path).to_pylist(),
    }
    rows = read[format]()
    expected = truth.find(
        lambda place: truth.activation(1, place) > 0 and (truth.activation(2, place) > 0 or "k" in truth.texts[place])
    )
    assert [int(row["position"]) for row in rows] == expected  # type: ignore[call-overload]
    for row, place in zip(rows, expected, strict=True):
        assert row["text"] == truth.texts[place]
        assert (int(row["window"]), int(row["offset"])) == divmod(place, CONTEXT)  # type: ignore[call-overload]
        assert row["kind"] == truth.kinds[truth.documents[place]]
        for feature in (1, 2):
            assert float(row[f"activation_{feature}"]) == pytest.approx(truth.activation(feature, place))  # type: ignore[arg-type]


def test_text_in_csv_is_no_formula(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    write_index(folder, Size(3, tokens=300, l0=1.0, context_length=CONTEXT, vocabulary=8, seed=0))
    folder.vocabulary.write_text(json.dumps(["=1+1", "+a", "-b", "@c", "\td", "e=", " =f", "'g"]))
    Search(ActivationIndex(folder), "position >= 0").write(tmp_path / "all.csv", "csv")
    with (tmp_path / "all.csv").open(newline="") as file:
        texts = {row["text"] for row in csv.DictReader(file)}
    assert texts <= {"'+a", "'-b", "'@c", "'\td", "e=", " =f", "''g"}
    assert "'+a" in texts


def test_a_search_that_takes_too_long_is_one_sentence(
    folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = """
        SELECT sum(range) FROM range(100000000000)
        WHERE range > $limit + $position + $activation + (SELECT count(*) FROM ({matches}), ({strength}))
    """
    monkeypatch.setattr("features.queries.search.LONGEST_SECONDS", 1.0)
    monkeypatch.setattr("features.queries.search._PAGE", endless)
    found = Search(ActivationIndex(folder), "fires(1)")
    with pytest.raises(QueryError, match="make it narrower"):
        found.page(1, BEGINNING)
