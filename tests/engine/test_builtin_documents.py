"""The built-in corpus as windows: held-out documents of another seed, with what was planted on every token."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.engine.builtin.concepts import CONCEPTS
from experiments.engine.builtin.corpus import HELD_OUT_SEED, TRAINING_SEED, document
from experiments.engine.builtin_documents import BuiltinSource
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, TrainingConfig
from experiments.engine.corpus import WindowSet, prepare_windows
from experiments.engine.document_sources import open_source
from experiments.engine.text_tokenizer import TextTokenizer
from tests.engine.tiny_models import tiny_tokenizer

CONTEXT = 64


def builtin_windows(folder: Path, tokenizer: TextTokenizer) -> WindowSet:
    config = ExperimentConfig(
        model=ModelConfig("builtin", "builtin"),
        corpus=CorpusConfig("builtin", "builtin"),
        layer=1,
        training=TrainingConfig(tokens=6_000),
        context_length=CONTEXT,
        evaluation_tokens=3_000,
        harvest_tokens=1_000,
    )
    work = prepare_windows(config, tokenizer, None, folder)
    while True:
        try:
            next(work)
        except StopIteration as end:
            made: WindowSet = end.value
            return made


def test_windows_hold_the_documents_of_both_seeds(tmp_path: Path) -> None:
    tokenizer = TextTokenizer(tiny_tokenizer("byte_level"), "causal")
    windows = builtin_windows(tmp_path, tokenizer)
    for part, seed in ((windows.training, TRAINING_SEED), (windows.held_out, HELD_OUT_SEED)):
        for number in range(3):
            kept = part.tokens[(part.documents == number) & ~part.special].tolist()
            assert kept == tokenizer.encode([document(seed, number).text])[0].tolist()
    assert windows.kinds[:5] == tuple(document(TRAINING_SEED, number).kind for number in range(5))
    assert windows.concepts == tuple(CONCEPTS)
    assert windows.training.concepts is None


def test_every_held_out_token_carries_the_concepts_of_its_last_character(tmp_path: Path) -> None:
    tokenizer = TextTokenizer(tiny_tokenizer("byte_level"), "causal")
    windows = builtin_windows(tmp_path, tokenizer)
    part = windows.held_out
    flags = part.concept_flags(len(windows.concepts))
    assert not flags[part.special].any()
    for number in range(5):
        carried = flags[(part.documents == number) & ~part.special]
        planted = document(HELD_OUT_SEED, number)
        offsets = tokenizer.encode_with_offsets([planted.text])[0].offsets[: len(carried)]
        expected = np.zeros_like(carried)
        for span in planted.spans:
            for token, (_, stop) in enumerate(offsets):
                if span.start < stop <= span.stop:
                    expected[token, windows.concepts.index(span.concept)] = True
        assert np.array_equal(carried, expected)
        assert carried.any()


def test_identity_is_that_of_the_code_that_writes_the_corpus() -> None:
    source = open_source(CorpusConfig("builtin", "builtin"), 0.1, None)
    assert source.identity == BuiltinSource().identity
    assert len(source.identity["builtin"]) == 64
