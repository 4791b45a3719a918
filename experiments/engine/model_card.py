"""What a model folder says about its model, read from config.json and the headers of the weights.

Nothing here needs torch or transformers, and no weight is loaded: forms and estimates use it in the web process.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["causal", "encoder", "unknown"]

# Families name the same three numbers differently; the first key that is there counts.
LAYER_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_decoder_layers")
WIDTH_KEYS = ("hidden_size", "n_embd", "d_model", "dim", "model_dim")
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "max_sequence_length")

# Models without a position table (ALiBi) state no longest input; this is what they are commonly used with.
UNSTATED_CONTEXT_LENGTH = 2_048
# A tokenizer that knows no limit says 10^30; numbers from here on mean "no limit".
UNLIMITED_TOKENS = 10**9
# The safetensors format allows no longer header than this.
LONGEST_HEADER_BYTES = 100_000_000


class ModelCardError(ValueError):
    """A folder that cannot be read as a model; the message is one sentence."""


@dataclass(frozen=True)
class ModelCard:
    """The facts about a language model that choices and estimates need.

    `width` is the length of a hidden state, `context_length` the longest input in tokens, `parameters` the number of
    weights (None where it is not known without loading them), `weights_bytes` their size on disk, and
    `block_parameters` the number of weights of every block (empty where the files do not tell).
    """

    name: str
    family: str
    layers: int
    width: int
    context_length: int
    vocabulary_size: int
    parameters: int | None
    weights_bytes: int
    kind: Kind
    block_parameters: tuple[int, ...] = ()


@dataclass(frozen=True)
class Weights:
    """How many parameters a model's weights hold (None if unknown), in all and by block, and their size on disk."""

    parameters: int | None
    bytes: int
    by_block: Mapping[int, int] = field(default_factory=dict)


def read_model_card(folder: Path, name: str | None = None, weights: Weights | None = None) -> ModelCard:
    """Reads the card of the model in `folder`, called `name` or else as the folder is.

    `weights` says what the weights are where they are not in the folder. Raises ModelCardError when there is no
    readable config.json, when it states no layers, width or vocabulary, when the model is an encoder-decoder, or when
    its weights are not in safetensors files.
    """
    name = name or folder.name
    config = _read_json(folder / "config.json", f"{name} is not a model folder: it has no readable config.json.")
    if config.get("is_encoder_decoder"):
        raise ModelCardError(f"{name} is an encoder-decoder, and only causal models and encoders can be read.")
    weights = weights or _read_weights(folder, name)
    nested = config.get("text_config")
    text_config = {**config, **nested} if isinstance(nested, Mapping) else config
    layers, width = _first_number(text_config, LAYER_KEYS), _first_number(text_config, WIDTH_KEYS)
    vocabulary_size = _first_number(text_config, ("vocab_size",))
    if layers is None or width is None or vocabulary_size is None:
        raise ModelCardError(f"The config.json of {name} does not state its layers, width and vocabulary size.")
    return ModelCard(
        name=name,
        family=str(config.get("model_type") or "unknown"),
        layers=layers,
        width=width,
        context_length=_context_length(text_config, _tokenizer_limit(folder)),
        vocabulary_size=vocabulary_size,
        parameters=weights.parameters,
        weights_bytes=weights.bytes,
        kind=_kind(config),
        block_parameters=_block_parameters(weights.by_block, layers),
    )


def _block_parameters(by_block: Mapping[int, int], layers: int) -> tuple[int, ...]:
    """The parameters of each block, when the numbers in the tensors' names are those of the blocks."""
    return tuple(by_block[layer] for layer in range(layers)) if by_block.keys() == set(range(layers)) else ()


def _kind(config: Mapping[str, Any]) -> Kind:
    """What the architecture's name says: `BertForMaskedLM` is an encoder, `GPT2LMHeadModel` is causal."""
    names = config.get("architectures")
    for name in names if isinstance(names, list) else []:
        if str(name).endswith(("MaskedLM", "ForPreTraining")):
            return "encoder"
        if str(name).endswith(("CausalLM", "LMHeadModel")):
            return "causal"
    return "unknown"


def _context_length(config: Mapping[str, Any], tokenizer_limit: int | None) -> int:
    """The smaller of the position table and the tokenizer's limit (RoBERTa's table has two rows nobody may use)."""
    limits = [limit for limit in (_first_number(config, CONTEXT_KEYS), tokenizer_limit) if limit]
    return min(limits, default=UNSTATED_CONTEXT_LENGTH)


def _tokenizer_limit(folder: Path) -> int | None:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return None
    limit = _read_json(path, f"The tokenizer_config.json of {folder.name} cannot be read.").get("model_max_length")
    return int(limit) if isinstance(limit, int | float) and 0 < limit < UNLIMITED_TOKENS else None


def _read_weights(folder: Path, name: str) -> Weights:
    files = _weight_files(folder, name)
    counts: Counter[int | None] = sum((_count_parameters(file, name) for file in files), Counter())
    by_block = {block: count for block, count in counts.items() if block is not None}
    return Weights(counts.total(), sum(file.stat().st_size for file in files), by_block)


def _weight_files(folder: Path, name: str) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]  # other files beside it are copies in another precision
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = _read_json(index, f"The weight index of {name} cannot be read.").get("weight_map", {})
        files = [folder / Path(str(shard)).name for shard in sorted(set(shards.values()))]
        if missing := [file.name for file in files if not file.is_file()]:
            raise ModelCardError(f"{name} is incomplete: the weights file {missing[0]} is missing.")
    if files:
        return files
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        raise ModelCardError(f"{name} has only pickled weights, which are never opened; convert them to safetensors.")
    raise ModelCardError(f"{name} has no weights: a model.safetensors file is expected beside config.json.")


def _count_parameters(file: Path, name: str) -> Counter[int | None]:
    """Sums the sizes of the tensors that a safetensors header lists (8 bytes of length, then JSON), by block.

    The block is the first number in a tensor's dotted name (`model.layers.3.mlp.weight`); None is outside of them.
    """
    damaged = f"The weights file {file.name} of {name} is not a safetensors file."
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > LONGEST_HEADER_BYTES:
            raise ModelCardError(damaged)
        header = _parse_object(stream.read(length), damaged)
    header.pop("__metadata__", None)
    counts: Counter[int | None] = Counter()
    try:
        for tensor_name, tensor in header.items():
            block = next((int(part) for part in tensor_name.split(".") if part.isdecimal()), None)
            counts[block] += math.prod(tensor["shape"])
    except (TypeError, KeyError):
        raise ModelCardError(damaged) from None
    return counts


def _first_number(config: Mapping[str, Any], keys: Iterable[str]) -> int | None:
    values = (config.get(key) for key in keys)
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _read_json(path: Path, complaint: str) -> dict[str, Any]:
    try:
        return _parse_object(path.read_bytes(), complaint)
    except OSError:
        raise ModelCardError(complaint) from None


def _parse_object(text: bytes, complaint: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        raise ModelCardError(complaint) from None
    if not isinstance(document, dict):
        raise ModelCardError(complaint)
    return document
