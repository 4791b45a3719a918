"""dictionary_learning folders: config.json beside the weights of a dictionary class, saved as safetensors.

The tool itself saves ae.pt, a pickle, which is never opened: its state dict is saved as ae.safetensors first. Torch
Linear weights lie as [out, in], so an encoder is as ours is and a decoder its transpose; the classes of later date
keep `W_enc` and `W_dec` as parameters, the other way round. The gated and the JumpReLU class multiply activations by
the norm of their decoder rows. TopK may also fire above a threshold, which `encode` does not do unless it is told to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.engine.formats.foreign_sae import (
    Conventions,
    ForeignSae,
    Origin,
    check_shapes,
    refuse_unknown,
    text_of,
    whole_number,
)
from experiments.engine.formats.tensor_files import Floats, TensorFile

TOOL = "dictionary_learning"
WEIGHTS_FILE = "ae.safetensors"
SIDE_FILES: tuple[str, ...] = ()
SITES = ("resid_pre", "resid_post", "attn_out", "mlp_out")


class _Kind(NamedTuple):
    """One dictionary class: our architecture, and its tensors under our names."""

    architecture: str
    tensors: Mapping[str, str]
    conventions: Conventions = Conventions()
    buffers: tuple[str, ...] = ()  # beside the weights; only `threshold` says anything about them


_LINEAR = {"encoder": "encoder.weight", "encoder_bias": "encoder.bias", "decoder": "decoder.weight"}
_PARAMETERS = {"encoder": "W_enc", "encoder_bias": "b_enc", "decoder": "W_dec", "decoder_bias": "b_dec"}
_GATED = {
    "encoder": "encoder.weight",
    "encoder_bias": "gate_bias",
    "decoder": "decoder.weight",
    "decoder_bias": "decoder_bias",
    "magnitude_log_scale": "r_mag",
    "magnitude_bias": "mag_bias",
}
KINDS = {
    "AutoEncoder": _Kind("relu", _LINEAR | {"decoder_bias": "bias"}),
    "AutoEncoderNew": _Kind(
        "relu", _LINEAR | {"decoder_bias": "decoder.bias"}, Conventions(subtracts_decoder_bias=False)
    ),
    "GatedAutoEncoder": _Kind("gated", _GATED, Conventions(scales_by_row_norm=True)),
    "JumpReluAutoEncoder": _Kind(
        "jumprelu",
        _PARAMETERS | {"threshold": "threshold"},
        Conventions(scales_by_row_norm=True, subtracts_decoder_bias=False),
    ),
    "AutoEncoderTopK": _Kind("topk", _LINEAR | {"decoder_bias": "b_dec"}, buffers=("k", "threshold")),
    "BatchTopKSAE": _Kind("batchtopk", _LINEAR | {"decoder_bias": "b_dec"}, buffers=("k", "threshold")),
    "MatryoshkaBatchTopKSAE": _Kind("matryoshka", _PARAMETERS, buffers=("k", "threshold", "group_sizes")),
}
FITTED = ("batchtopk", "matryoshka")


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config is one of dictionary_learning."""
    return isinstance(config.get("trainer"), Mapping)


def describe(config: Mapping[str, Any], file: TensorFile) -> ForeignSae:
    """What the files say. Raises FormatError for what cannot be read."""
    trainer = config["trainer"]
    name = trainer.get("dict_class")
    if name not in KINDS:
        raise refuse_unknown("dictionary class", name, tuple(KINDS))
    kind = KINDS[name]
    width, n_features = whole_number(trainer, "activation_dim"), whole_number(trainer, "dict_size")
    check_shapes(file, _shapes(kind, file, width, n_features), ("k", "group_sizes"))
    holds_k = kind.architecture in ("topk", *FITTED)
    return ForeignSae(
        tool=TOOL,
        version="",
        config=config,
        architecture=kind.architecture,
        n_features=n_features,
        width=width,
        output_width=width,
        k=whole_number(trainer, "k") if holds_k else None,
        origin=_origin(config),
        conventions=kind.conventions,
    )


def weights(config: Mapping[str, Any], file: TensorFile) -> dict[str, Floats]:
    """The tensors under our names, turned as ours lie."""
    kind = KINDS[config["trainer"]["dict_class"]]
    found = {ours: file.read(theirs) for ours, theirs in kind.tensors.items()}
    turned = "encoder" if kind.tensors["encoder"] == "W_enc" else "decoder"
    found[turned] = np.ascontiguousarray(found[turned].T)
    if kind.architecture in FITTED:  # -1 stands for one that was never fitted, and then all fire that are positive
        found["threshold"] = np.full(len(found["decoder"]), np.maximum(file.read("threshold"), 0), np.float32)
    elif "threshold" in found:
        found["threshold"] = np.maximum(found["threshold"], 0)  # what is below zero never fires: ReLU comes last
    return found


def _shapes(kind: _Kind, file: TensorFile, width: int, n_features: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(kind.tensors.values(), (n_features,))
    encoder, decoder = (n_features, width), (width, n_features)
    if kind.tensors["encoder"] == "W_enc":
        encoder, decoder = decoder, encoder
    shapes |= {kind.tensors["encoder"]: encoder, kind.tensors["decoder"]: decoder}
    shapes[kind.tensors["decoder_bias"]] = (width,)
    for name in kind.buffers:
        shapes[name] = file.shapes.get(name, ()) if name == "group_sizes" else ()
    return shapes


def _origin(config: Mapping[str, Any]) -> Origin:
    trainer, buffer = config["trainer"], config.get("buffer")
    buffer = buffer if isinstance(buffer, Mapping) else {}
    layer, length = trainer.get("layer"), buffer.get("ctx_len")
    found = re.match(r"[a-z]+_[a-z]+", text_of(trainer, "submodule_name"))
    return Origin(
        model=text_of(trainer, "lm_name") or None,
        layer=layer if isinstance(layer, int) and not isinstance(layer, bool) and layer >= 0 else None,
        site=found[0] if found and found[0] in SITES else None,
        context_length=length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else None,
    )
