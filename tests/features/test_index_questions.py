"""Every question of the reader against plain counting over all activations of random small indexes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.synthetic_index import Size, write_index
from experiments.engine.artifacts import ExperimentFolder
from features.activation_index import ActivationIndex, Context, examples
from features.density import wilson_interval

FEATURES = 24


@dataclass
class Written:
    """An index, and what its files hold as plain Python."""

    index: ActivationIndex
    context_length: int
    tokens: list[int]
    read: list[bool]
    documents: list[int]
    vocabulary: list[str]
    activations: dict[int, dict[int, float]]  # feature, position

    def window(self, position: int) -> int:
        return position // self.context_length


@pytest.fixture(scope="module", params=[0, 1, 2])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = ExperimentFolder(tmp_path_factory.mktemp("random"))
    size = Size(FEATURES, tokens=2_500, l0=3.0, context_length=32, vocabulary=60, seed=request.param)
    write_index(folder, size)
    rows = pq.read_table(folder.activations).to_pydict()
    activations: dict[int, dict[int, float]] = defaultdict(dict)
    for feature, position, activation in zip(*rows.values(), strict=True):
        activations[feature][position] = activation
    text = pq.read_table(folder.tokens).to_pydict()
    index = ActivationIndex(folder)
    return Written(
        index,
        size.context_length,
        text["token"],
        text["read"],
        text["document"],
        index.files.vocabulary(),
        activations,
    )


def each_feature(written: Written) -> list[int]:
    assert len(written.activations) > FEATURES // 2
    return list(range(FEATURES))


def test_counts_are_exact_and_carry_their_interval(written: Written) -> None:
    for feature in each_feature(written):
        own, found = written.activations[feature], written.index.counts(feature)
        assert (found.tokens, found.firings) == (sum(written.read), len(own))
        assert found.documents == len({written.documents[position] for position in own})
        assert found.density == len(own) / sum(written.read)
        assert found.interval == wilson_interval(len(own), sum(written.read))


@pytest.fixture(params=["all firings at once", "the strongest first"])
def read_how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that fire seldom, and those that fire so often that only their strongest firings are read."""
    if request.param == "the strongest first":
        monkeypatch.setattr(examples, "FIRINGS_AT_ONCE", 1)


@pytest.mark.usefixtures("read_how")
def test_examples_are_the_strongest_firing_of_each_document(written: Written) -> None:
    for feature in each_feature(written):
        best: dict[int, tuple[float, int]] = {}
        for position, activation in written.activations[feature].items():
            document = written.documents[position]
            best[document] = min(best.get(document, (math.inf, -1)), (-activation, position))
        expected = [(-activation, position) for activation, position in sorted(best.values())]
        page = written.index.examples(feature, rank=2, count=3)
        assert [(found.activation, found.position) for found in page.items] == expected[1:4]
        assert page.total == len(expected)
        everything = written.index.examples(feature, count=10_000)
        assert [(found.activation, found.position) for found in everything.items] == expected
        beyond = written.index.examples(feature, rank=2**62, count=3)
        assert (beyond.items, beyond.total) == ((), len(expected))


@pytest.mark.usefixtures("read_how")
def test_context_shows_the_activation_of_every_token(written: Written) -> None:
    for feature in each_feature(written):
        for found in written.index.examples(feature, count=5, context=Context(6, 4)).items:
            places = [
                position
                for position in range(found.position - 6, found.position + 5)
                if 0 <= position < len(written.tokens)
                and written.window(position) == written.window(found.position)
                and written.documents[position] == found.document
            ]
            assert [token.position for token in found.tokens] == places
            for token in found.tokens:
                assert token.activation == written.activations[feature].get(token.position, 0.0)
                assert token.text == written.vocabulary[written.tokens[token.position]]


def test_strata_are_cut_at_quantiles_and_chosen_by_a_seed(written: Written) -> None:
    for feature in each_feature(written):
        values = sorted(written.activations[feature].values(), reverse=True)
        strata = written.index.strata(feature, parts=4, count=3, seed=5)
        assert len(strata) == min(4, len(values))
        assert sum(stratum.firings for stratum in strata) == len(values)
        start = 0
        for stratum in strata:
            part = values[start : start + stratum.firings]
            assert (stratum.high, stratum.low) == (part[0], part[-1])
            assert stratum.high_share == pytest.approx(1 - start / len(values))
            assert len(stratum.examples) == min(3, len(part))
            for example in stratum.examples:
                assert start < example.rank <= start + stratum.firings
                assert written.activations[feature][example.position] == example.activation == values[example.rank - 1]
            start += stratum.firings
        assert strata == written.index.strata(feature, parts=4, count=3, seed=5)
    assert any(
        written.index.strata(feature, seed=1) != written.index.strata(feature, seed=2) for feature in range(FEATURES)
    )


def test_near_misses_are_silent_on_the_tokens_it_fires_on(written: Written) -> None:
    similar = 0
    for feature in each_feature(written):
        own = written.activations[feature]
        fired = Counter(written.tokens[position] for position in own)
        pairs = {(written.tokens[position - 1], written.tokens[position]) for position in own if position % 32 > 0}
        found = written.index.near_misses(feature, count=6, seed=3)
        assert found == written.index.near_misses(feature, count=6, seed=3)
        assert bool(found) == bool(own)
        assert len({miss.document for miss in found}) == len(found)
        for miss in found:
            assert miss.position not in own
            assert written.read[miss.position]
            token = written.tokens[miss.position]
            assert written.vocabulary[token] == miss.token
            assert fired[token] >= sorted(fired.values(), reverse=True)[:10][-1]
            before = (written.tokens[miss.position - 1], token) in pairs and miss.position % 32 > 0
            assert miss.same_previous == before
            similar += before
        assert [miss.same_previous for miss in found] == sorted((miss.same_previous for miss in found), reverse=True)
    assert similar


def test_tokens_it_fires_on_have_precision_and_recall(written: Written) -> None:
    occurrences = Counter(token for token, read in zip(written.tokens, written.read, strict=True) if read)
    for feature in each_feature(written):
        fired = Counter(written.tokens[position] for position in written.activations[feature])
        expected = sorted(fired.items(), key=lambda pair: (-pair[1], pair[0]))[:7]
        found = written.index.tokens_fired_on(feature, 7)
        assert [(use.token, use.firings) for use in found] == expected
        for use in found:
            assert use.share == use.firings / len(written.activations[feature])
            assert (use.occurrences, use.recall) == (occurrences[use.token], use.firings / occurrences[use.token])
            assert use.text == written.vocabulary[use.token]


def test_the_histogram_counts_every_firing_and_the_silence(written: Written) -> None:
    for feature in each_feature(written):
        own, found = written.activations[feature], written.index.histogram(feature)
        assert sum(found.counts) == len(own)
        assert found.silent == sum(written.read) - len(own)
        if len(own) > 1:
            steps = np.diff(np.log(found.edges))
            assert np.allclose(steps, steps[0])
            assert (found.edges[0], found.edges[-1]) == pytest.approx((min(own.values()), max(own.values())))


def test_bins_of_the_window_add_up(written: Written) -> None:
    for feature in each_feature(written):
        found = written.index.window_bins(feature, bins=5)
        assert next((one.first, one.last) for one in found)[0] == 0
        for one in found:
            inside = [position for position in written.activations[feature] if one.first <= position % 32 <= one.last]
            read = [place for place, was in enumerate(written.read) if was and one.first <= place % 32 <= one.last]
            assert (one.firings, one.tokens) == (len(inside), len(read))
        assert sum(one.firings for one in found) == len(written.activations[feature])


@pytest.mark.parametrize("within", [0, 1, 4])
def test_co_firing_counts_over_the_whole_sae(written: Written, within: int) -> None:
    total = sum(written.read)
    for feature in each_feature(written):
        near = {
            other
            for position in written.activations[feature]
            for other in range(position - within, position + within + 1)
            if written.window(other) == written.window(position) and written.read[other]
        }
        expected = []
        for other, own in written.activations.items():
            both = len(near & own.keys())
            if both and other != feature:
                jaccard = both / (len(near) + len(own) - both)
                expected.append((other, both, len(own), jaccard, math.log2(both * total / (len(near) * len(own)))))
        expected.sort(key=lambda row: (-row[3], row[0]))
        found = written.index.co_firing(feature, within=within, limit=6)
        assert (found.within, found.tokens_near) == (within, len(near))
        rows = [(one.index, one.both, one.firings, one.jaccard, one.pmi) for one in found.items]
        assert [row[:3] for row in rows] == [row[:3] for row in expected[:6]]
        for row, wanted in zip(rows, expected[:6], strict=True):
            assert row == pytest.approx(wanted)


def test_a_passage_is_the_document_cut_around_the_position(written: Written) -> None:
    feature = max(written.activations, key=lambda one: len(written.activations[one]))
    position = next(iter(written.activations[feature]))
    document = [place for place, number in enumerate(written.documents) if number == written.documents[position]]
    whole = written.index.document_passage(feature, position)
    assert whole is not None
    assert [token.position for token in whole.tokens] == document
    assert (whole.is_start, whole.is_end, whole.document) == (True, True, written.documents[position])
    cut = written.index.document_passage(feature, position, most_tokens=9)
    assert cut is not None
    assert len(cut.tokens) == 9
    assert position in [token.position for token in cut.tokens]
    assert [token.activation for token in cut.tokens] == [
        written.activations[feature].get(token.position, 0.0) for token in cut.tokens
    ]
    assert written.index.document_passage(feature, len(written.tokens)) is None
    assert written.index.document_passage(feature, -1) is None


def test_threads_may_ask_at_once(written: Written) -> None:
    def ask(feature: int) -> tuple[object, ...]:
        index = ActivationIndex(written.index.files.folder)
        return index.examples(feature, count=4), index.co_firing(feature), index.counts(feature)

    alone = [ask(feature) for feature in range(FEATURES)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(FEATURES))) == alone


def test_a_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    write_index(folder, Size(8, tokens=500, l0=2.0, context_length=16, vocabulary=30, seed=1))
    before = [ActivationIndex(folder).counts(feature) for feature in range(8)]
    for path in folder.index.iterdir():
        path.unlink()
    write_index(folder, Size(8, tokens=900, l0=2.0, context_length=16, vocabulary=30, seed=2))
    after = [ActivationIndex(folder).counts(feature) for feature in range(8)]
    assert before[0].tokens < after[0].tokens
    assert [found.firings for found in after] == [
        len(ActivationIndex(folder).examples(feature, count=10_000, one_per_document=False).items)
        for feature in range(8)
    ]
