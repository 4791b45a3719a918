"""sparsify folders (as of 2026-06): cfg.json and sae.safetensors, one folder per hook point.

f = the k largest of ReLU((x - b_dec) W^T + b), x^ = f W_dec + b_dec (+ W_skip x); a transcoder (`transcode`) does not
take b_dec from what it reads. The encoder is a torch Linear, so its weight lies as ours does. A hook point `layers.3`
is the output of block 3; a transcoder at `layers.3.mlp` reads the MLP's input and reconstructs its output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.engine.formats.foreign_sae import (
    Conventions,
    ForeignSae,
    Origin,
    check_shapes,
    refuse_unknown,
    text_of,
    whole_number,
)
from experiments.engine.formats.format_errors import FormatError
from experiments.engine.formats.native_sae import NativeSae
from experiments.engine.formats.tensor_files import Floats, TensorFile, write_tensors

TOOL = "sparsify"
CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae.safetensors"
SIDE_FILES: tuple[str, ...] = ()
# In the folder above those of the hook points.
RUN_CONFIG_FILE = "config.json"
TENSORS = {
    "encoder.weight": "encoder",
    "encoder.bias": "encoder_bias",
    "W_dec": "decoder",
    "b_dec": "decoder_bias",
    "W_skip": "skip",
}
# What the output of a hook point's module is, by the last part of its name.
MODULES = {
    "": "resid_post",
    "mlp": "mlp_out",
    "attn": "attn_out",
    "self_attn": "attn_out",
    "attention": "attn_out",
}
# Parts that are no weights of this SAE: what they add could not be computed from the hidden state alone.
UNSUPPORTED = ("embed_skip", "gram_lookup")


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config is one of sparsify."""
    return "expansion_factor" in config or "num_latents" in config


def describe(config: Mapping[str, Any], file: TensorFile) -> ForeignSae:
    """What the files say. Raises FormatError for what cannot be read."""
    activation = config.get("activation", "topk")
    if activation != "topk":
        raise refuse_unknown("activation", activation, ("topk",))
    if used := [name for name in UNSUPPORTED if config.get(name)]:
        raise FormatError(f"An SAE with {used[0]} reads more than hidden states, which is not supported.")
    width, k = whole_number(config, "d_in"), whole_number(config, "k")
    n_features = config.get("num_latents") or width * whole_number(config, "expansion_factor")
    n_features = whole_number({"num_latents": n_features}, "num_latents")
    is_transcoder, skip = config.get("transcode") is True, config.get("skip_connection") is True
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.weight": (n_features, width),
        "encoder.bias": (n_features,),
        "W_dec": (n_features, width),
        "b_dec": (width,),
    }
    check_shapes(file, shapes | ({"W_skip": (width, width)} if skip else {}))
    if skip and not is_transcoder:
        raise FormatError("Only a transcoder can have a skip connection here; this autoencoder has one.")
    return ForeignSae(
        tool=TOOL,
        version="",
        config=config,
        architecture="topk",
        n_features=n_features,
        width=width,
        output_width=width,
        k=k,
        is_transcoder=is_transcoder,
        skip=skip,
        origin=_origin(config, file.path.parent, is_transcoder),
        conventions=Conventions(subtracts_decoder_bias=not is_transcoder),
    )


def weights(config: Mapping[str, Any], file: TensorFile) -> dict[str, Floats]:
    """The tensors under our names."""
    return {TENSORS[name]: file.read(name) for name in file.shapes}


def _origin(config: Mapping[str, Any], folder: Path, is_transcoder: bool) -> Origin:
    """By the name of the folder, or what our own export says; the model stands in the folder above."""
    provenance = config.get("latent_lens")
    provenance = provenance if isinstance(provenance, Mapping) else {}
    layer, site = _place(text_of(provenance, "hookpoint") or folder.name)
    model = text_of(provenance, "model") or _model_of_run(folder.parent / RUN_CONFIG_FILE)
    if is_transcoder:
        return Origin(model, layer, "mlp_in" if site == "mlp_out" else None, site if site == "mlp_out" else None)
    return Origin(model, layer, text_of(provenance, "site") or site)


def _place(hook_point: str) -> tuple[int | None, str | None]:
    match = re.fullmatch(r"(?:.+\.)?(?:layers|h|blocks|layer)\.(\d{1,4})(?:\.(\w+))?", hook_point)
    return (int(match[1]), MODULES.get(match[2] or "")) if match else (None, None)


def _model_of_run(path: Path) -> str | None:
    try:
        run = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return text_of(run, "model") or None if isinstance(run, Mapping) else None


def holds(architecture: str, *, is_transcoder: bool) -> bool:
    """Whether sparsify has such an SAE."""
    return architecture == "topk"


def write(sae: NativeSae, folder: Path) -> None:
    """Writes `sae` as sparsify would. Raises FormatError for what sparsify does not have."""
    if not holds(sae.architecture, is_transcoder=sae.is_transcoder) or sae.width != sae.output_width:
        raise FormatError(
            "sparsify has TopK SAEs, and TopK transcoders between hidden states of one width; this is another kind."
        )
    config = {
        "activation": "topk",
        "expansion_factor": max(1, sae.n_features // sae.width),
        "normalize_decoder": True,
        "num_latents": sae.n_features,
        "k": sae.k,
        "multi_topk": False,
        "skip_connection": sae.skip,
        "transcode": sae.is_transcoder,
        "d_in": sae.width,
        "latent_lens": sae.provenance | {"model": sae.model, "hookpoint": hook_point(sae), "site": sae.site},
    }
    tensors = {name: sae.tensors.read(ours) for name, ours in TENSORS.items() if ours in sae.tensors.shapes}
    write_tensors(folder / WEIGHTS_FILE, tensors)
    (folder / CONFIG_FILE).write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", "utf-8")


def hook_point(sae: NativeSae) -> str:
    """The name of the folder that sparsify would use, as far as it has one: `layers.3`, `layers.3.mlp`."""
    modules = {"mlp_out": ".mlp", "mlp_in": ".mlp", "attn_out": ".attn"}
    return f"layers.{sae.layer}{modules.get(sae.site, '')}"
