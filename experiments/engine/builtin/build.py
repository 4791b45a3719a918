"""Trains the language model that ships: tokenizer, weights and loss curve from nothing but a seed.

The model is a small Llama (RMSNorm, rotary positions, SwiGLU) in the transformers layout with its own byte-level BPE
vocabulary, trained on the built-in corpus. `manage.py build_builtin_model` is the command; docs/builtin.md tells what
came out. The same seed on the same machine with the same number of threads gives the same weights.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from experiments.engine.builtin.corpus import HELD_OUT_SEED, TRAINING_SEED, document

BOUNDARY = "<|endoftext|>"  # stands before every document and, when the model writes, after it
DOCUMENTS_PER_PIECE = 2_000


@dataclass(frozen=True)
class BuildSettings:
    """What is trained and how. The settings of the weights that ship are in their training.json."""

    vocabulary: int = 3_584
    word_pieces: int = 700  # of them; the others are whole words
    width: int = 160
    layers: int = 4
    heads: int = 5
    mlp_width: int = 448
    context_length: int = 256  # positions the model knows
    window: int = 128  # tokens per training window
    batch_windows: int = 32
    tokens: int = 4_500_000  # seen in training, in about one pass over the corpus
    corpus_documents: int = 60_000
    vocabulary_documents: int = 20_000
    held_out_documents: int = 1_000
    learning_rate: float = 3e-3
    final_learning_rate: float = 0.0
    warmup_share: float = 0.02
    weight_decay: float = 0.3
    # Pulls together the input embeddings of words that are used alike: only what the text needs of a word stays.
    embedding_decay: float = 3.0
    embedding_init: float = 2e-3  # standard deviation; small, so that little is left of where each word began
    clip_norm: float = 1.0
    boundary_share: float = 0.5  # of the windows start with the boundary instead of a token of the text
    measure_every: int = 100  # steps
    seed: int = 0

    @property
    def steps(self) -> int:
        return max(1, self.tokens // (self.batch_windows * self.window))


@dataclass(frozen=True)
class BuildStep:
    """One point of the loss curve; losses are mean cross-entropy in nats per token."""

    step: int
    steps: int
    tokens: int
    loss: float
    held_out_loss: float | None
    seconds: float


def build(settings: BuildSettings, out: Path, device: str, processes: int) -> Iterator[BuildStep]:
    """Train and write the model to the folder `out`; yields the loss curve while it grows."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(settings)
    tokenizer.save_pretrained(out)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        train = _token_stream(pool, out, TRAINING_SEED, settings.corpus_documents)
        held_out = _token_stream(pool, out, HELD_OUT_SEED, settings.held_out_documents)
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(_model_config(settings, tokenizer))
    model.set_attn_implementation("eager")  # on a CPU its backward pass is several times faster than the fused kernel's
    torch.nn.init.normal_(_input_embeddings(model), std=settings.embedding_init)
    torch.nn.Module.to(model, device)
    curve = []
    for step in _train(model, train, held_out, settings, device):
        curve.append(step)
        yield step
    _round_weights(model)
    final = held_out_loss(model, held_out, settings, device)
    _save(model, out)
    _write_record(out, settings, model, curve, final, corpus_tokens=len(train))


def train_tokenizer(settings: BuildSettings) -> PreTrainedTokenizerFast:
    """A byte-level vocabulary in which every frequent word of the corpus is one token; other text is cut by BPE.

    Digits go in pairs, so that a year is two tokens, its century and the year in it.
    """
    texts = [document(TRAINING_SEED, index).text for index in range(settings.vocabulary_documents)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r" ?\d{1,2}"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.word_pieces,
        special_tokens=[BOUNDARY],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _add_whole_words(tokenizer, texts, settings.vocabulary)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOUNDARY} $A", pair=f"{BOUNDARY} $A {BOUNDARY} $B", special_tokens=[(BOUNDARY, 0)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token=BOUNDARY, eos_token=BOUNDARY, model_max_length=settings.context_length
    )


def _add_whole_words(tokenizer: Tokenizer, texts: list[str], vocabulary: int) -> None:
    """Fill the vocabulary with the most frequent words, each found before any merge is tried."""
    learned = json.loads(tokenizer.to_str())["model"]
    tokens: dict[str, int] = learned["vocab"]
    counts = Counter(word for text in texts for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    by_frequency = sorted(counts.keys() - tokens.keys(), key=lambda word: (-counts[word], word))
    for word in by_frequency[: vocabulary - len(tokens)]:
        tokens[word] = len(tokens)
    merges = [tuple(merge) for merge in learned["merges"]]
    tokenizer.model = models.BPE(tokens, merges, ignore_merges=True)


def _token_stream(pool: ProcessPoolExecutor, tokenizer_folder: Path, seed: int, documents: int) -> np.ndarray:
    """All documents of a seed as one row of token ids, each after a boundary token: int64 [tokens]."""
    starts = range(0, documents, DOCUMENTS_PER_PIECE)
    ranges = [(start, min(start + DOCUMENTS_PER_PIECE, documents)) for start in starts]
    pieces = pool.map(_tokenize, [(str(tokenizer_folder), seed, *span) for span in ranges])
    return np.concatenate(list(pieces)).astype(np.int64)


def _tokenize(work: tuple[str, int, int, int]) -> np.ndarray:
    folder, seed, start, stop = work
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    encodings = tokenizer.encode_batch([document(seed, index).text for index in range(start, stop)])
    return np.concatenate([np.array(encoding.ids, dtype=np.uint16) for encoding in encodings])


def _model_config(settings: BuildSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        intermediate_size=settings.mlp_width,
        max_position_embeddings=settings.context_length,
        tie_word_embeddings=False,  # reading a word may forget which of its class it is; writing it may not
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def _train(
    model: LlamaForCausalLM, train: np.ndarray, held_out: np.ndarray, settings: BuildSettings, device: str
) -> Iterator[BuildStep]:
    random = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), lr=0.0, betas=(0.9, 0.95), fused=True)
    started = time.monotonic()
    losses: list[float] = []
    for step in range(1, settings.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(settings, step)
        batch = _windows(train, random, settings, device)
        loss = _loss(model, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % settings.measure_every == 0 or step == settings.steps:
            measured = (
                held_out_loss(model, held_out, settings, device) if step % (settings.measure_every * 5) == 0 else None
            )
            tokens = step * settings.batch_windows * settings.window
            yield BuildStep(
                step, settings.steps, tokens, sum(losses) / len(losses), measured, time.monotonic() - started
            )
            losses.clear()


def _parameter_groups(model: LlamaForCausalLM, settings: BuildSettings) -> list[dict[str, Any]]:
    """The input embeddings with their own weight decay, and everything else."""
    read = _input_embeddings(model)
    others = [parameter for parameter in model.parameters() if parameter is not read]
    return [
        {"params": [read], "weight_decay": settings.embedding_decay},
        {"params": others, "weight_decay": settings.weight_decay},
    ]


def _input_embeddings(model: LlamaForCausalLM) -> torch.nn.Parameter:
    """What the tokens are read as: [vocabulary, width]."""
    weight: torch.nn.Parameter = model.model.embed_tokens.weight
    return weight


def _windows(stream: np.ndarray, random: np.random.Generator, settings: BuildSettings, device: str) -> torch.Tensor:
    """Random windows of the stream: int64 [batch_windows, window + 1]; BOS (id 0) begins a share of them."""
    starts = random.integers(0, len(stream) - settings.window - 1, settings.batch_windows)
    batch = stream[starts[:, None] + np.arange(settings.window + 1)]
    batch[random.random(settings.batch_windows) < settings.boundary_share, 0] = 0
    return torch.from_numpy(batch).to(device)


def _loss(model: LlamaForCausalLM, batch: torch.Tensor) -> torch.Tensor:
    with torch.autocast(batch.device.type, torch.bfloat16):
        logits = model(batch[:, :-1]).logits
    return cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())


def _learning_rate(settings: BuildSettings, step: int) -> float:
    """Linear warm-up, then half a cosine down to the final rate."""
    warmup = max(1, int(settings.warmup_share * settings.steps))
    if step <= warmup:
        return settings.learning_rate * step / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    span = settings.learning_rate - settings.final_learning_rate
    return settings.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def held_out_loss(model: LlamaForCausalLM, stream: np.ndarray, settings: BuildSettings, device: str) -> float:
    """Mean cross-entropy in nats per token over whole windows of text made with another seed."""
    count = min(512, (len(stream) - 1) // settings.window)
    starts = np.arange(count) * settings.window
    windows = torch.from_numpy(stream[starts[:, None] + np.arange(settings.window + 1)]).to(device)
    losses = [_loss(model, piece) * len(piece) for piece in torch.split(windows, settings.batch_windows)]
    return float(sum(losses) / count)


def _round_weights(model: LlamaForCausalLM) -> None:
    """Round the weights to float16, as they ship; arithmetic stays in float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()


def _save(model: LlamaForCausalLM, out: Path) -> None:
    """Weights are stored as float16; the configuration asks for float32, so that every CPU computes with them."""
    torch.nn.Module.half(model).save_pretrained(out)
    config = json.loads((out / "config.json").read_text("utf-8"))
    config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _write_record(
    out: Path,
    settings: BuildSettings,
    model: LlamaForCausalLM,
    curve: list[BuildStep],
    final: float,
    corpus_tokens: int,
) -> None:
    record: dict[str, Any] = {
        "settings": asdict(settings),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "corpus_tokens": corpus_tokens,
        "final_held_out_loss": round(final, 4),
        "curve": [
            {"step": step.step, "tokens": step.tokens, "loss": round(step.loss, 4), "held_out_loss": step.held_out_loss}
            for step in curve
        ],
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
