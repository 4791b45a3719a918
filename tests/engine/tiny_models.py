"""Tiny models with random weights in the transformers layout, one for each way in which families differ."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedTokenizerFast

TEXT = [
    "Once upon a time there was a little dog who had a red ball.",
    "The dog and the cat sat on the mat, and the sun was warm.",
    "Tom said: “I want to play!” But it was late, so they went home.",
    "On Monday the café sold 12 cups of tea for 3 euros each.",
]
VOCABULARY, WIDTH, LAYERS, CONTEXT = 400, 32, 3, 64

_COMMON = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4}
_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_LLAMA = {
    **_COMMON,
    **_SPECIAL,
    "intermediate_size": 48,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
}
_BERT = {**_COMMON, "intermediate_size": 48, "max_position_embeddings": CONTEXT, "pad_token_id": 0}
_GPT2_SIZES = {"vocab_size": VOCABULARY, "n_layer": LAYERS, "n_head": 4}
_GPT2 = {**_GPT2_SIZES, "n_embd": WIDTH, "n_positions": CONTEXT}
_NEOX = {**_COMMON, "intermediate_size": 48, "max_position_embeddings": CONTEXT, "bos_token_id": 0, "eos_token_id": 0}

# family -> (class of its config, its settings, how its vocabulary is made)
FAMILIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "gpt2": ("GPT2Config", {**_GPT2, "bos_token_id": 0, "eos_token_id": 0}, "byte_level"),
    "gpt_neox": ("GPTNeoXConfig", _NEOX, "byte_level"),
    "llama": ("LlamaConfig", _LLAMA, "sentence_piece"),
    "opt": (
        "OPTConfig",
        {**_COMMON, **_SPECIAL, "ffn_dim": 48, "word_embed_proj_dim": WIDTH, "max_position_embeddings": CONTEXT},
        "byte_level",
    ),
    "bert": ("BertConfig", _BERT, "word_piece"),
    "mistral": ("MistralConfig", _LLAMA, "sentence_piece"),
    "qwen2": ("Qwen2Config", _LLAMA, "byte_level"),
    "qwen3": ("Qwen3Config", _LLAMA, "byte_level"),
    "gemma2": ("Gemma2Config", _LLAMA, "sentence_piece"),
    "gemma3": ("Gemma3TextConfig", _LLAMA, "sentence_piece"),
    "phi": ("PhiConfig", _LLAMA, "byte_level"),
    "phi3": ("Phi3Config", _LLAMA, "sentence_piece"),
    "falcon": ("FalconConfig", {**_COMMON, "bos_token_id": 0, "eos_token_id": 0}, "byte_level"),
    "bloom": ("BloomConfig", {**_GPT2_SIZES, "hidden_size": WIDTH}, "byte_level"),
    "roberta": ("RobertaConfig", {**_BERT, "max_position_embeddings": CONTEXT + 2, "pad_token_id": 1}, "byte_level"),
    "modernbert": (
        "ModernBertConfig",
        {**_BERT, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2},
        "word_piece",
    ),
}
ENCODERS = {"bert", "roberta", "modernbert"}


def save_tiny_model(folder: Path, family: str, **settings: Any) -> Path:
    """Writes a model of `family` with seeded random weights, and its tokenizer, into `folder`."""
    config_class, defaults, vocabulary = FAMILIES[family]
    config = getattr(transformers, config_class)(**{**defaults, **settings})
    auto_class = AutoModelForMaskedLM if family in ENCODERS else AutoModelForCausalLM
    torch.manual_seed(0)
    model = auto_class.from_config(config)
    for parameter in model.parameters():  # larger and less alike than at a usual start, so that every part counts
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tiny_tokenizer(vocabulary).save_pretrained(folder)
    return folder


def tiny_tokenizer(vocabulary: str) -> PreTrainedTokenizerFast:
    """A fast tokenizer of one of three kinds: byte_level (GPT-2), sentence_piece (Llama) or word_piece (BERT)."""
    return {"byte_level": _byte_level, "sentence_piece": _sentence_piece, "word_piece": _word_piece}[vocabulary]()


def _byte_level() -> PreTrainedTokenizerFast:
    """One token for beginning and end of text, which the tokenizer itself never adds."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _train(tokenizer, trainers.BpeTrainer(special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, **_SIZE))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", model_max_length=CONTEXT
    )


def _sentence_piece() -> PreTrainedTokenizerFast:
    """Spaces as ▁, bytes as <0xE2>, and a beginning token that the tokenizer adds."""
    prefixed = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained = Tokenizer(models.BPE())
    trained.normalizer = prefixed
    size = {**_SIZE, "vocab_size": VOCABULARY - 256}
    _train(trained, trainers.BpeTrainer(special_tokens=["<unk>", "<s>", "</s>"], **size))
    vocabulary = trained.get_vocab()
    merges = [tuple(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    model = models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = prefixed
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", model_max_length=CONTEXT
    )


def _word_piece() -> PreTrainedTokenizerFast:
    """Words and ##pieces, between [CLS] and [SEP]."""
    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(TEXT).lower())))
    letters = sorted(set("".join(words)))
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        unk_token="[UNK]",
        model_max_length=CONTEXT,
    )


_SIZE: dict[str, Any] = {"vocab_size": VOCABULARY, "show_progress": False}


def _train(tokenizer: Tokenizer, trainer: Any) -> None:
    tokenizer.train_from_iterator(TEXT, trainer)
