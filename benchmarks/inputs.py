"""What all sides read, made once and kept: hidden states, a language model of the shape of GPT-2 small, a text.

Nothing is downloaded: weights are random, the text is written by the built-in corpus.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.folders import INPUTS, ROOT

BATCHES = 16  # distinct batches of hidden states; then they come round again
DICTIONARY = 8_192  # directions that the synthetic hidden states are made of
ACTIVE = 24  # of them in each
ROWS_AT_ONCE = 4_096
MODEL, TEXT, TOKENS = INPUTS / "gpt2-small-shape", INPUTS / "text.txt", INPUTS / "tokens.npy"
BUILTIN_STATES = INPUTS / "builtin-states.npy"


def synthetic_states(width: int, batch: int, heldout: int) -> Path:
    """An .npy file of structured hidden states [tokens, width] of mean square one; the last `heldout` are held out."""
    path = INPUTS / f"states-{width}-{BATCHES}x{batch}-{heldout}.npy"
    if not path.exists():
        INPUTS.mkdir(parents=True, exist_ok=True)
        _save(path, _sparse_combinations(BATCHES * batch + heldout, width))
    return path


def language_model() -> Path:
    """The folder of the language model; with it come TEXT and TOKENS, which are made by a process that has torch."""
    if not TOKENS.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.ours.inputs", "model"], cwd=ROOT, check=True)
    return MODEL


def builtin_states() -> Path:
    """An .npy file of real hidden states: the middle layer of the built-in model, reading its corpus."""
    if not BUILTIN_STATES.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.ours.inputs", "states"], cwd=ROOT, check=True)
    return BUILTIN_STATES


def _sparse_combinations(rows: int, width: int) -> NDArray[np.float32]:
    """Sparse non-negative combinations of random directions, some far more frequent than others, with noise."""
    random = np.random.default_rng(0)
    directions = random.standard_normal((DICTIONARY, width), dtype=np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    frequency = 1.0 / np.arange(10, 10 + DICTIONARY) ** 0.8
    cumulated = np.cumsum(frequency / frequency.sum())
    states = np.empty((rows, width), np.float32)
    for start in range(0, rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, rows - start)
        chosen = np.minimum(np.searchsorted(cumulated, random.random((count, ACTIVE))), DICTIONARY - 1)
        code = np.zeros((count, DICTIONARY), np.float32)
        np.put_along_axis(code, chosen, random.exponential(1.0, chosen.shape).astype(np.float32) + 0.5, axis=1)
        states[start : start + count] = code @ directions
    states += 0.05 * random.standard_normal(states.shape, dtype=np.float32)
    states += 0.3 * random.standard_normal((1, width), dtype=np.float32)
    return states / np.sqrt(np.square(states).mean())


def _save(path: Path, array: NDArray[np.generic]) -> None:
    """Writes a file that is there as a whole or not at all."""
    partial = path.with_suffix(".partial.npy")
    np.save(partial, array)
    partial.replace(path)
