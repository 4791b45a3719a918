"""Folders as other tools write them, with random weights, and what those tools compute, slowly and in float64."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Array = NDArray[np.floating[Any]]
Tensors = dict[str, Array]

WIDTH, FEATURES, OUTPUT, K = 12, 30, 10, 4


def write_folder(folder: Path, weights_file: str, config: Mapping[str, Any], tensors: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    name = "config.json" if "trainer" in config else "cfg.json"
    (folder / name).write_text(json.dumps(config))
    save_file({key: np.asarray(value, order="C") for key, value in tensors.items()}, folder / weights_file)
    return folder


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def states(tokens: int = 40) -> NDArray[np.float32]:
    return normal(tokens, WIDTH, seed=99) * 2 + 0.5


def saelens_config(architecture: str, **changes: Any) -> dict[str, Any]:
    config = {
        "architecture": architecture,
        "d_in": WIDTH,
        "d_sae": FEATURES,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": "transcoder" not in architecture,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "gpt2",
            "hook_name": "blocks.6.hook_resid_pre",
            "context_size": 128,
        },
    }
    if architecture == "topk":
        config |= {"k": K, "rescale_acts_by_decoder_norm": False}
    if "transcoder" in architecture:
        config |= {"d_out": OUTPUT}
        config["metadata"] |= {"hook_name": "blocks.6.mlp.hook_in", "hook_name_out": "blocks.6.hook_mlp_out"}
    return config | changes


def saelens_tensors(architecture: str) -> Tensors:
    """Decoder rows of very different lengths, so that what is scaled by them shows."""
    output = OUTPUT if "transcoder" in architecture else WIDTH
    lengths = np.linspace(0.4, 2.5, FEATURES, dtype=np.float32)[:, None]
    tensors: Tensors = {
        "W_enc": normal(WIDTH, FEATURES),
        "W_dec": normal(FEATURES, output, seed=1) / np.sqrt(np.float32(output)) * lengths,
        "b_dec": normal(output, seed=2),
    }
    if architecture == "gated":
        tensors |= {name: normal(FEATURES, seed=seed) * 0.5 for seed, name in enumerate(("b_gate", "b_mag", "r_mag"))}
    else:
        tensors["b_enc"] = normal(FEATURES, seed=3) * 0.5
    if architecture.startswith("jumprelu"):
        tensors["threshold"] = normal(FEATURES, seed=4)  # some below zero
    if "skip" in architecture:
        tensors["W_skip"] = normal(OUTPUT, WIDTH, seed=5)
    return tensors


def saelens_output(config: Mapping[str, Any], tensors: Tensors, x: Array) -> tuple[Array, Array]:
    """Activations and reconstruction by the equations of SAELens' inference classes, token by token."""
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    architecture, norms = config["architecture"], np.linalg.norm(t["W_dec"], axis=1)
    rescales = config.get("rescale_acts_by_decoder_norm", False)
    activations, reconstructions = [], []
    for row in x.astype(np.float64):
        read = row - (t["b_dec"] if config["apply_b_dec_to_input"] else 0)
        if architecture == "gated":
            gate = read @ t["W_enc"] + t["b_gate"] > 0
            f = gate * np.maximum(read @ (t["W_enc"] * np.exp(t["r_mag"])) + t["b_mag"], 0)
        else:
            pre = (read @ t["W_enc"] + t["b_enc"]) * (norms if rescales else 1)
            f = np.maximum(pre, 0)
            if architecture.startswith("jumprelu"):
                f = f * (pre > t["threshold"])
            if architecture == "topk":
                f = kept_largest(f, config["k"])
        y = (f / (norms if rescales else 1)) @ t["W_dec"] + t["b_dec"]
        if "skip" in architecture:
            y = y + t["W_skip"] @ row
        activations.append(f)
        reconstructions.append(y)
    return np.array(activations), np.array(reconstructions)


def kept_largest(f: Array, k: int) -> Array:
    kept = np.zeros_like(f)
    for feature in sorted(range(len(f)), key=lambda feature: -f[feature])[:k]:
        kept[feature] = f[feature]
    return kept


def sparsify_config(**changes: Any) -> dict[str, Any]:
    return {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": FEATURES,
        "k": K,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": WIDTH,
    } | changes


def sparsify_tensors(config: Mapping[str, Any]) -> Tensors:
    tensors: Tensors = {
        "encoder.weight": normal(FEATURES, WIDTH),
        "encoder.bias": normal(FEATURES, seed=3) * 0.5,
        "W_dec": normal(FEATURES, WIDTH, seed=1),
        "b_dec": normal(WIDTH, seed=2),
    }
    return tensors | ({"W_skip": normal(WIDTH, WIDTH, seed=5)} if config["skip_connection"] else {})


def sparsify_output(config: Mapping[str, Any], tensors: Tensors, x: Array) -> tuple[Array, Array]:
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    activations, reconstructions = [], []
    for row in x.astype(np.float64):
        read = row if config["transcode"] else row - t["b_dec"]
        f = kept_largest(np.maximum(t["encoder.weight"] @ read + t["encoder.bias"], 0), config["k"])
        y = f @ t["W_dec"] + t["b_dec"]
        activations.append(f)
        reconstructions.append(y + t["W_skip"] @ row if config["skip_connection"] else y)
    return np.array(activations), np.array(reconstructions)


def dictionary_config(dict_class: str, **changes: Any) -> dict[str, Any]:
    trainer = {
        "dict_class": dict_class,
        "activation_dim": WIDTH,
        "dict_size": FEATURES,
        "lm_name": "EleutherAI/pythia-70m-deduped",
        "layer": 3,
        "submodule_name": "resid_post_layer_3",
        "k": K,
    }
    return {"trainer": trainer | changes, "buffer": {"ctx_len": 128}}


def dictionary_tensors(dict_class: str) -> dict[str, Any]:
    encoder, decoder = normal(FEATURES, WIDTH), normal(FEATURES, WIDTH, seed=1)
    biases = {"of_features": normal(FEATURES, seed=3) * 0.5, "of_output": normal(WIDTH, seed=2)}
    linear = {"encoder.weight": encoder, "decoder.weight": decoder.T}
    parameters = {"W_enc": encoder.T, "W_dec": decoder, "b_enc": biases["of_features"], "b_dec": biases["of_output"]}
    buffers = {"k": np.array(K, np.int32), "threshold": np.array(1.7, np.float32)}
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "AutoEncoder": lambda: linear | {"encoder.bias": biases["of_features"], "bias": biases["of_output"]},
        "AutoEncoderNew": lambda: linear | {"encoder.bias": biases["of_features"], "decoder.bias": biases["of_output"]},
        "GatedAutoEncoder": lambda: (
            linear
            | {"decoder_bias": biases["of_output"], "gate_bias": biases["of_features"]}
            | {"r_mag": normal(FEATURES, seed=6) * 0.3, "mag_bias": normal(FEATURES, seed=7) * 0.3}
        ),
        "JumpReluAutoEncoder": lambda: parameters | {"threshold": normal(FEATURES, seed=4)},
        "AutoEncoderTopK": lambda: (
            linear | {"encoder.bias": biases["of_features"], "b_dec": biases["of_output"]} | buffers
        ),
        "BatchTopKSAE": lambda: (
            linear | {"encoder.bias": biases["of_features"], "b_dec": biases["of_output"]} | buffers
        ),
        "MatryoshkaBatchTopKSAE": lambda: parameters | buffers | {"group_sizes": np.array([10, 20], np.int64)},
    }
    return made[dict_class]()


def dictionary_output(dict_class: str, tensors: Mapping[str, Any], x: Array) -> tuple[Array, Array]:
    t = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    encoder = t["encoder.weight"].T if "encoder.weight" in t else t["W_enc"]
    decoder = t["decoder.weight"].T if "decoder.weight" in t else t["W_dec"]
    norms = np.linalg.norm(decoder, axis=1)
    bias = next(t[name] for name in ("bias", "decoder.bias", "decoder_bias", "b_dec") if name in t)
    activations, reconstructions = [], []
    for row in x.astype(np.float64):
        subtracted = 0 if dict_class in ("AutoEncoderNew", "JumpReluAutoEncoder") else bias
        product = (row - subtracted) @ encoder
        if dict_class == "GatedAutoEncoder":
            f = (product + t["gate_bias"] > 0) * np.maximum(np.exp(t["r_mag"]) * product + t["mag_bias"], 0) * norms
            y = (f / norms) @ decoder + bias
        elif dict_class == "JumpReluAutoEncoder":
            pre = product + t["b_enc"]
            f = np.maximum(pre * (pre > t["threshold"]), 0) * norms
            y = (f / norms) @ decoder + bias
        else:
            f = np.maximum(product + t["encoder.bias" if "encoder.bias" in t else "b_enc"], 0)
            if dict_class == "AutoEncoderTopK":
                f = kept_largest(f, int(t["k"]))
            elif "threshold" in t:
                f = f * (f > t["threshold"])
            y = f @ decoder + bias
        activations.append(f)
        reconstructions.append(y)
    return np.array(activations), np.array(reconstructions)
