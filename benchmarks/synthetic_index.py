"""An activation index of any size from a seed, and a finished experiment whose catalogue is made from it.

    python -m benchmarks.synthetic_index                                      # 131,072 features, 10 million tokens
    python -m benchmarks.synthetic_index --features 4096 --tokens 200000      # a small one

Token frequencies fall as in text (Zipf), densities of features are spread over orders of magnitude (log-normal), and
half of the firings of all but the most frequent features are on a token of their own, so that answers look real.
Half of the features have a label by a machine, with a confidence and a score.
Nothing but one range of features is in memory at a time, beside the text.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.engine.activation_spill import SortedActivations, by_falling_activation
from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.feature_statistics import HarvestedText, distinct, summarise
from experiments.engine.index_tables import ACTIVATIONS, FEATURES, TableWriter, write_documents, write_tokens
from experiments.engine.windows import Windows

KINDS = ("article", "dialogue", "letter", "story")
DEAD_SHARE = 0.05
ACTIVATIONS_AT_ONCE = 2_000_000
FEATURES_AT_ONCE, LABELS_AT_ONCE = 2_048, 1_000


@dataclass(frozen=True)
class Size:
    """How large the index is: features, tokens, and features that fire on a token on average."""

    features: int = 131_072
    tokens: int = 10_000_000
    l0: float = 16.0
    context_length: int = 128
    vocabulary: int = 8_192
    seed: int = 0


def write_index(folder: ExperimentFolder, size: Size) -> int:
    """Writes all files of the index; returns how many activations it holds."""
    folder.index.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(size.seed)
    texts = vocabulary(size.vocabulary)
    windows = _windows(size, random)
    read = ~windows.special.ravel()
    write_tokens(windows, read, folder.tokens)
    write_documents(
        windows, [KINDS[number % len(KINDS)] for number in range(int(windows.documents.max()) + 1)], folder.documents
    )
    folder.vocabulary.write_text(json.dumps(texts), encoding="utf-8")
    token_at = windows.tokens.ravel()
    occurrences = np.bincount(token_at[read], minlength=len(texts))
    text = HarvestedText(token_at, windows.documents.ravel(), int(read.sum()), occurrences, texts)
    written = 0
    with TableWriter(folder.activations, ACTIVATIONS) as activations, TableWriter(folder.features, FEATURES) as rows:
        for found in _ranges(size, read, token_at, random):
            activations.add_columns(found.features, found.positions, found.activations)
            rows.add_rows([row | _directions(row["index"], size, texts) for row in summarise(found, text)])
            written += len(found.features)
    return written


def vocabulary(count: int) -> list[str]:
    """Words made of syllables, most with the space before them; the first opens windows."""
    syllables = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "to", "vi", "zu")
    words = ["⟨s⟩"]
    for number in range(1, count):
        word = "".join(syllables[int(digit)] for digit in str(number))
        words.append(word if number % 7 == 0 else f" {word}")
    return words


def _windows(size: Size, random: np.random.Generator) -> Windows:
    """Tokens by Zipf's law in windows that open with a special token, documents of 20 to some hundreds of tokens."""
    count = -(-size.tokens // (size.context_length - 1))
    share = 1 / (np.arange(1, size.vocabulary) + 2.7)
    cumulated = np.cumsum(share / share.sum())
    tokens = np.searchsorted(cumulated, random.random((count, size.context_length), np.float32)).astype(np.int32) + 1
    np.minimum(tokens, size.vocabulary - 1, out=tokens)
    tokens[:, 0] = 0
    lengths = random.integers(20, 500, size=max(2, tokens.size // 100))
    documents = np.searchsorted(np.cumsum(lengths), np.arange(tokens.size), side="right").astype(np.int32)
    special = np.zeros(tokens.shape, bool)
    special[:, 0] = True
    return Windows(tokens, documents.reshape(tokens.shape), special)


def _ranges(
    size: Size, read: NDArray[np.bool_], token_at: NDArray[np.int32], random: np.random.Generator
) -> Iterator[SortedActivations]:
    places = np.flatnonzero(read)
    by_token = places[np.argsort(token_at[places], kind="stable")]
    starts = np.searchsorted(token_at[by_token], np.arange(size.vocabulary + 1))
    wanted = _firings(size, len(places), random)
    ends = np.concatenate([[0], np.cumsum(wanted)])
    first = 0
    while first < size.features:
        fitting = int(np.searchsorted(ends, ends[first] + ACTIVATIONS_AT_ONCE, side="right")) - 1
        stop = max(first + 1, min(fitting, first + FEATURES_AT_ONCE, size.features))
        features = np.repeat(np.arange(first, stop), wanted[first:stop])
        own = 1 + features * 7_919 % (size.vocabulary - 1)
        chance, on_own = random.random(len(features)), random.random(len(features)) < 0.5
        on_own &= starts[own + 1] - starts[own] > np.repeat(wanted[first:stop], wanted[first:stop])
        rows = (starts[own] + chance * (starts[own + 1] - starts[own])).astype(np.int64)
        positions = np.where(
            on_own, by_token[np.minimum(rows, len(by_token) - 1)], places[(chance * len(places)).astype(np.int64)]
        )
        pairs = distinct((features - first) << 40 | positions)
        yield _sorted(first, stop, (pairs >> 40).astype(np.int32), pairs & (2**40 - 1), random)
        first = stop


def _firings(size: Size, tokens: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each feature fires: log-normal with a sixth of a decade to two around the middle, some never."""
    density = random.lognormal(sigma=1.6, size=size.features)
    density[random.random(size.features) < DEAD_SHARE] = 0
    density *= size.l0 / density.sum()
    counts: NDArray[np.int64] = np.round(np.minimum(density, 0.3) * tokens).astype(np.int64)
    return counts


def _sorted(
    first: int, stop: int, local: NDArray[np.int32], positions: NDArray[np.int64], random: np.random.Generator
) -> SortedActivations:
    scale = 1 + (local + first) % 13
    activations = (scale * random.lognormal(sigma=0.6, size=len(local))).astype(np.float32)
    order = by_falling_activation(local, activations)
    return SortedActivations(first, stop, local[order] + np.int32(first), positions[order], activations[order])


def _directions(index: int, size: Size, texts: list[str]) -> dict[str, Any]:
    """What a harvest reads off the weights, which a synthetic index has not."""
    tokens = [(1 + index * 31 + step * 17) % size.vocabulary for step in range(10)]
    logits = [{"token": token, "text": texts[token], "logit": 3 - step / 4} for step, token in enumerate(tokens)]
    near = [(index + step * 97) % size.features for step in range(1, min(11, size.features))]
    nearest = [{"index": other, "cosine": 0.9 - step / 20} for step, other in enumerate(near)]
    return {
        "promoted": logits,
        "suppressed": [entry | {"logit": -entry["logit"]} for entry in logits],
        "logit_histogram": {"edges": [step / 10 - 2 for step in range(41)], "counts": list(range(40))},
        "nearest": nearest,
        "nearest_by_encoder": nearest,
        "inputs": [{"dimension": step, "weight": 1 - step / 10, "share": 0.1} for step in range(10)],
        "concept": None,
    }


def store_experiment(size: Size) -> tuple[int, int]:
    """A finished experiment with its index and catalogue; returns its id and the number of activations.

    Every feature is taken into the catalogue, whatever MAX_FEATURES says.
    """
    from django.conf import settings

    from experiments.models import Corpus, Experiment
    from experiments.services.folders import experiment_folder
    from features.services.catalogue import import_catalogue

    corpus, _ = Corpus.objects.get_or_create(source=Corpus.Source.BUILTIN, defaults={"name": "Built-in"})
    experiment = Experiment.objects.create(
        name=f"synthetic index, {size.features:,} features, {size.tokens:,} tokens",
        status=Experiment.Status.FINISHED, model="builtin", layer=2, site="resid_post", corpus=corpus,
        architecture="topk", n_features=size.features, k=round(size.l0), training_tokens=size.tokens, config={},
    )  # fmt: skip
    written = write_index(experiment_folder(experiment.pk), size)
    settings.MAX_FEATURES = 0
    import_catalogue(experiment.pk)
    return experiment.pk, written


def label_features(experiment_id: int, size: Size, share: float) -> int:
    """Gives about this share of the features a machine's label; returns how many."""
    from features.models import Feature, Label
    from features.services.labels import Author, LabelDraft
    from features.services.labels.bulk import NewLabel, add_labels, settle_labels

    random, words = np.random.default_rng(size.seed), vocabulary(size.vocabulary)
    keys = list(Feature.objects.filter(experiment=experiment_id).order_by("index").values_list("pk", flat=True))
    chosen = [key for key, draw in zip(keys, random.random(len(keys)), strict=True) if draw < share]
    for start in range(0, len(chosen), LABELS_AT_ONCE):
        labels = []
        for key in chosen[start : start + LABELS_AT_ONCE]:
            first, second = (words[number] for number in random.integers(0, len(words), 2))
            draft = LabelDraft.of(f"“{first.strip()}” before “{second.strip()}”", confidence=round(random.random(), 2))
            facts = {"review": Label.Review.PENDING, "score": round(random.uniform(0.5, 1), 3)}
            labels.append(NewLabel(key, draft, facts=facts))
        add_labels(labels, Author.machine("a synthetic index"))
    settle_labels()
    return len(chosen)


def _prepare_installation() -> None:
    from django.core.management import call_command

    from experiments.models import FirstStart

    call_command("migrate", verbosity=0)
    FirstStart.objects.get_or_create()


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "latentlens.settings")
    django.setup()
    parser = argparse.ArgumentParser(description="Make a synthetic activation index and its experiment.")
    for name, default in (("features", Size.features), ("tokens", Size.tokens), ("seed", Size.seed)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--l0", type=float, default=Size.l0, help="features that fire on a token on average")
    parser.add_argument("--labelled", type=float, default=0.5, help="share of features with a label (default 0.5)")
    parser.add_argument("--new", action="store_true", help="of an installation that is new: its tables too, no demo")
    options = vars(parser.parse_args())
    labelled = options.pop("labelled")
    if options.pop("new"):
        _prepare_installation()
    size = Size(**options)
    started = time.monotonic()
    number, written = store_experiment(size)
    labels = label_features(number, size, labelled)
    print(f"experiment {number}: {written:,} activations, {labels:,} labels, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
