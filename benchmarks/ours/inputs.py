"""Makes what needs torch to be made: `python -m benchmarks.ours.inputs model|states`, called by `benchmarks.inputs`."""

from __future__ import annotations

import sys
from itertools import count, islice

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from benchmarks.folders import BUILTIN_MODEL
from benchmarks.inputs import BUILTIN_STATES, INPUTS, MODEL, TEXT, TOKENS
from benchmarks.ours.running import finished
from experiments.engine.builtin.corpus import TRAINING_SEED, document
from experiments.engine.capture import Reading, capture_segment
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, Place, TrainingConfig
from experiments.engine.corpus import prepare_windows
from experiments.engine.model_loading import load_language_model

TEXT_CHARACTERS = 8_000_000  # well over a million tokens
VOCABULARY = 8_192  # entries of the tokenizer; the model has GPT-2's 50,257 rows all the same
TRAINED_ON = 400  # documents from which the tokenizer learns
END = "<|endoftext|>"
TOKENS_KEPT = 524_288
STATES_KEPT = 340_000
BUILTIN_LAYER = 2
CONTEXT = 128


def make_model() -> None:
    """The language model with its tokenizer, the text, and the text as windows of token ids."""
    INPUTS.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(MODEL)
    _tokenizer().save_pretrained(MODEL)
    with TEXT.open("w", encoding="utf-8") as file:
        written = 0
        for number in count():
            written += file.write(document(TRAINING_SEED, number).text + f"\n{END}\n")
            if written >= TEXT_CHARACTERS:
                break
    training = TrainingConfig(tokens=TOKENS_KEPT)
    corpus = CorpusConfig("upload", TEXT.name)
    config = ExperimentConfig(ModelConfig("local", MODEL.name), corpus, layer=6, training=training)
    tokenizer = load_language_model(MODEL).tokenizer
    windows = finished(prepare_windows(config, tokenizer, TEXT, INPUTS / "cache"))
    np.save(TOKENS, windows.training.tokens)


def make_states() -> None:
    """Hidden states of the built-in model, in a random order, scaled to a mean square of one."""
    amounts = {"training": TrainingConfig(tokens=STATES_KEPT), "harvest_tokens": 1}
    config = ExperimentConfig(
        ModelConfig("builtin", "builtin"), CorpusConfig("builtin", "builtin"), layer=BUILTIN_LAYER, **amounts
    )
    model = load_language_model(BUILTIN_MODEL)
    windows = finished(prepare_windows(config, model.tokenizer, None, INPUTS / "cache")).training
    reading = Reading(Place(BUILTIN_LAYER, "resid_post"))
    (captured,) = finished(capture_segment(model, windows, [reading]))
    states = captured.states.numpy()[np.random.default_rng(0).permutation(len(captured.states))]
    np.save(BUILTIN_STATES, states / np.sqrt(np.square(states, dtype=np.float64).mean()).astype(np.float32))


def _tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer as GPT-2's, which has learnt the built-in corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        vocab_size=VOCABULARY,
        show_progress=False,
    )
    texts = islice((document(TRAINING_SEED, number).text for number in count()), TRAINED_ON)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, model_max_length=1024)


if __name__ == "__main__":
    {"model": make_model, "states": make_states}[sys.argv[1]]()
