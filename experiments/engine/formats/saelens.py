"""SAELens folders (as of 6.54.12): cfg.json and sae_weights.safetensors.

Row vectors: pre = (x - b_dec [apply_b_dec_to_input]) W_enc + b_enc and x^ = f W_dec + b_dec, so W_enc is the transpose
of ours. TopK may scale activations by the norms of decoder rows (`rescale_acts_by_decoder_norm`). BatchTopK and
Matryoshka are saved as JumpReLU with one threshold for all; what they were trained as stands in the metadata. A config
of before 6.0 keeps everything on one level and is brought into the new shape first. What is written has the version of
the format, without which it would be taken for one of those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from experiments.engine.formats.format_errors import FormatError
from experiments.engine.formats.native_sae import NativeSae
from experiments.engine.formats.tensor_files import Floats, TensorFile, write_tensors

TOOL = "SAELens"
VERSION = "6.54.12"
CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
# Beside the weights of a checkpoint that was taken while it trained.
SCALER_FILE = "activation_scaler.json"
SIDE_FILES: tuple[str, ...] = (SCALER_FILE,)

ARCHITECTURES = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "batchtopk": "batchtopk",
    "matryoshka_batchtopk": "matryoshka",
    # A transcoder with ReLU is one with JumpReLU whose thresholds are zero.
    "transcoder": "jumprelu",
    "skip_transcoder": "jumprelu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
TRAINED_AS = {"batchtopk": "batchtopk", "matryoshka_batchtopk": "matryoshka"}
# Those whose files hold one threshold for all features, as while they are trained.
ONE_THRESHOLD = ("batchtopk", "matryoshka_batchtopk")
# TransformerLens' names of the sites that are hidden states here too.
HOOKS = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_post": "resid_post",
    "attn.hook_z": "attn_heads",
    "hook_attn_out": "attn_out",
    "mlp.hook_in": "mlp_in",
    "hook_mlp_out": "mlp_out",
}
# Changes of the model's weights that change its hidden states.
PROCESSING = ("center_writing_weights", "fold_ln", "fold_value_biases")


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config is one of SAELens."""
    return "d_sae" in config and "d_in" in config


def describe(config: Mapping[str, Any], file: TensorFile) -> ForeignSae:
    """What the files say. Raises FormatError for what cannot be read."""
    settled = _settled(config)
    architecture = str(settled.get("architecture", "standard"))
    if architecture not in ARCHITECTURES:
        raise refuse_unknown("architecture", architecture, tuple(ARCHITECTURES))
    _refuse_what_weights_cannot_hold(settled, file.path.parent)
    is_transcoder = "transcoder" in architecture
    width, n_features = whole_number(settled, "d_in"), whole_number(settled, "d_sae")
    output_width = whole_number(settled, "d_out") if is_transcoder else width
    shapes = _shapes(architecture, width, n_features, output_width)
    if "log_threshold" in file.shapes and "threshold" in shapes:
        shapes["log_threshold"] = shapes.pop("threshold")
    check_shapes(file, shapes, ("scaling_factor",))
    ours, k = _trained_as(settled, architecture)
    return ForeignSae(
        tool=TOOL,
        version=text_of(settled["metadata"], "sae_lens_version"),
        config=config,
        architecture=ours,
        n_features=n_features,
        width=width,
        output_width=output_width,
        k=k,
        is_transcoder=is_transcoder,
        skip="skip" in architecture,
        origin=_origin(settled["metadata"], is_transcoder),
        conventions=Conventions(
            scales_by_row_norm=_scales_by_row_norm(settled, architecture),
            subtracts_decoder_bias=not is_transcoder and settled.get("apply_b_dec_to_input", True) is True,
        ),
        notes=_notes(settled["metadata"]),
    )


def weights(config: Mapping[str, Any], file: TensorFile) -> dict[str, Floats]:
    """The tensors under our names, as they are after SAELens has folded scales into them."""
    settled = _settled(config)
    architecture = str(settled.get("architecture", "standard"))
    encoder, decoder = np.ascontiguousarray(file.read("W_enc").T), file.read("W_dec")
    found = {"encoder": encoder, "decoder": decoder, "decoder_bias": file.read("b_dec")}
    names = {"b_enc": "encoder_bias", "b_gate": "encoder_bias", "W_skip": "skip", "threshold": "threshold"}
    names |= {"r_mag": "magnitude_log_scale", "b_mag": "magnitude_bias"}
    found |= {ours: file.read(theirs) for theirs, ours in names.items() if theirs in file.shapes}
    if "log_threshold" in file.shapes:
        found["threshold"] = np.exp(file.read("log_threshold"))
    if "topk_threshold" in file.shapes:
        scaled = file.read("topk_threshold")
        norms = np.linalg.norm(decoder, axis=1) if _scales_by_row_norm(settled, architecture) else np.float32(1)
        found["threshold"] = np.full(len(decoder), scaled, np.float32) / norms
    elif ARCHITECTURES[architecture] == "jumprelu":
        # What is below zero never fires: ReLU comes first.
        found["threshold"] = np.maximum(found.get("threshold", np.zeros(len(decoder), np.float32)), 0)
    found["decoder"] *= _fine_tuning_factor(settled, file)
    scale = np.float32(_input_scale(settled, file.path.parent) or 1)
    return found | {
        "encoder": encoder * scale,
        "decoder": found["decoder"] / scale,
        "decoder_bias": found["decoder_bias"] / scale,
    }


def _settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as 6.0 and later write it."""
    metadata = config.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, Mapping) else {}
    version = str(config.get("sae_lens_version") or metadata.get("sae_lens_version") or "")
    if (first := re.match(r"\d+", version)) and int(first[0]) >= 6:
        return {**config, "metadata": metadata}
    settled = {_RENAMED.get(name, name): value for name, value in config.items()}
    settled["metadata"] = {"prepend_bos": True} | settled | metadata
    normalisation = settled.get("normalize_activations")
    if isinstance(normalisation, bool):
        settled["normalize_activations"] = "expected_average_only_in" if normalisation else "none"
    if "hook_z" in str(settled.get("hook_name", "")):
        settled.setdefault("reshape_activations", "hook_z")
    arguments = settled.get("activation_fn_kwargs")
    if settled.get("activation_fn") == "topk" and isinstance(arguments, Mapping) and arguments.get("k") is not None:
        settled |= {"architecture": "topk", "k": arguments["k"]}
    return settled


_RENAMED = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}


def _refuse_what_weights_cannot_hold(settled: Mapping[str, Any], folder: Path) -> None:
    activation = settled.get("activation_fn", "relu")
    if activation not in ("relu", "topk"):
        raise refuse_unknown("activation function", activation, ("relu", "topk"))
    normalisation = settled.get("normalize_activations") or "none"
    if normalisation not in ("none", "expected_average_only_in"):
        raise refuse_unknown("normalisation", normalisation, ("none", "expected_average_only_in"))
    if normalisation != "none" and _input_scale(settled, folder) is None:
        raise FormatError(
            "This SAE reads hidden states scaled by a factor that its files do not hold: export it with the factor "
            f"folded in (normalize_activations none), or add {SCALER_FILE} of its checkpoint."
        )
    if settled.get("reshape_activations", "none") not in ("none", "hook_z"):
        raise refuse_unknown("reshape_activations", settled.get("reshape_activations"), ("none", "hook_z"))
    if settled["metadata"].get("hook_head_index") is not None:
        raise FormatError("This SAE reads a single attention head; supported are those that read a whole site.")


def _input_scale(settled: Mapping[str, Any], folder: Path) -> float | None:
    """The factor of what a checkpoint reads; None where none is stored."""
    if (settled.get("normalize_activations") or "none") == "none":
        return None
    try:
        scaler = json.loads((folder / SCALER_FILE).read_text("utf-8"))
        factor = None if scaler.get("has_whitening") else scaler["scaling_factor"]
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return float(factor) if isinstance(factor, int | float) and 0 < factor < float("inf") else None


def _scales_by_row_norm(settled: Mapping[str, Any], architecture: str) -> bool:
    """Left out, the flag is what SAELens takes it for: off for inference, on in the files of a training."""
    return architecture in ("topk", *ONE_THRESHOLD) and bool(
        settled.get("rescale_acts_by_decoder_norm", architecture in ONE_THRESHOLD)
    )


def _fine_tuning_factor(settled: Mapping[str, Any], file: TensorFile) -> Floats:
    """By what an old fine-tuning multiplied activations before they were decoded, for each row: [N, 1]; or just 1."""
    if "scaling_factor" not in file.shapes:
        return np.ones((), np.float32)
    factor = file.read("scaling_factor")
    if not settled.get("finetuning_scaling_factor") and not np.allclose(factor, 1):
        raise FormatError("The file has scaling factors, but its config says that there are none.")
    return factor[:, None]


def _shapes(architecture: str, width: int, n_features: int, output_width: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "W_enc": (width, n_features),
        "W_dec": (n_features, output_width),
        "b_dec": (output_width,),
    }
    of_each_feature = {"gated": ("b_gate", "b_mag", "r_mag")}.get(architecture, ("b_enc",))
    if architecture.startswith("jumprelu"):
        of_each_feature = (*of_each_feature, "threshold")
    shapes |= dict.fromkeys(of_each_feature, (n_features,))
    if architecture in ONE_THRESHOLD:
        shapes["topk_threshold"] = ()
    if "skip" in architecture:
        shapes["W_skip"] = (output_width, width)
    return shapes | {"scaling_factor": (n_features,)}


def _trained_as(settled: Mapping[str, Any], architecture: str) -> tuple[str, int | None]:
    """Our architecture, and its k where the files tell it."""
    metadata = settled["metadata"]
    details = metadata.get("training_architecture_details")
    details = details if isinstance(details, Mapping) else {}
    trained_as = TRAINED_AS.get(str(metadata.get("training_architecture")))
    if architecture == "jumprelu" and trained_as and _is_count(details.get("k")):
        return trained_as, details["k"]
    if architecture in ("topk", *ONE_THRESHOLD):
        return ARCHITECTURES[architecture], whole_number(settled, "k")
    l0 = metadata.get("l0")
    known = isinstance(l0, int | float) and not isinstance(l0, bool) and 0.5 <= l0 < 1e6
    return ARCHITECTURES[architecture], round(l0) if known and ARCHITECTURES[architecture] == "jumprelu" else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _origin(metadata: Mapping[str, Any], is_transcoder: bool) -> Origin:
    layer, site = _place(text_of(metadata, "hook_name"))
    _, output_site = _place(text_of(metadata, "hook_name_out")) if is_transcoder else (None, None)
    length = metadata.get("context_size")
    return Origin(
        model=text_of(metadata, "model_name") or None,
        layer=layer,
        site=site,
        output_site=output_site,
        context_length=length if _is_count(length) else None,
    )


def _place(hook_name: str) -> tuple[int | None, str | None]:
    match = re.fullmatch(r"blocks\.(\d{1,4})\.(.+)", hook_name)
    return (int(match[1]), HOOKS.get(match[2])) if match else (None, None)


def _notes(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    arguments = metadata.get("model_from_pretrained_kwargs")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    processed = [name for name in PROCESSING if arguments.get(name)]
    if not processed:
        return ()
    return (
        f"It was trained on a model whose weights were processed ({', '.join(processed)}); here the model is read as "
        "it is, so that its hidden states, and with them the numbers of the SAE, differ.",
    )


def holds(architecture: str, *, is_transcoder: bool) -> bool:
    """Whether SAELens has such an SAE."""
    return not is_transcoder or architecture == "jumprelu"


def write(sae: NativeSae, folder: Path) -> None:
    """Writes `sae` as SAELens would save it for inference. Raises FormatError for what SAELens does not have."""
    config, tensors = _config_of(sae), sae.tensors
    names = {"decoder": "W_dec", "decoder_bias": "b_dec", "skip": "W_skip"}
    if sae.architecture == "gated":
        names |= {"encoder_bias": "b_gate", "magnitude_log_scale": "r_mag", "magnitude_bias": "b_mag"}
    else:
        names |= {"encoder_bias": "b_enc"}
    if config["architecture"].startswith("jumprelu"):
        names |= {"threshold": "threshold"}
    written = {"W_enc": np.ascontiguousarray(tensors.read("encoder").T)}
    written |= {theirs: tensors.read(ours) for ours, theirs in names.items() if ours in tensors.shapes}
    write_tensors(folder / WEIGHTS_FILE, written)
    (folder / CONFIG_FILE).write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _config_of(sae: NativeSae) -> dict[str, Any]:
    config = {
        "architecture": _name_of(sae),
        "d_in": sae.width,
        "d_sae": sae.n_features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": not sae.is_transcoder,
        "normalize_activations": "none",
        "reshape_activations": "hook_z" if sae.site == "attn_heads" else "none",
        "metadata": _metadata_of(sae),
    }
    if sae.architecture == "topk":
        config |= {"k": sae.k, "rescale_acts_by_decoder_norm": False}
    if sae.is_transcoder:
        config |= {"d_out": sae.output_width}
    return config


def _name_of(sae: NativeSae) -> str:
    if not sae.is_transcoder:
        inference = {"batchtopk": "jumprelu", "matryoshka": "jumprelu"}
        theirs = {ours: name for name, ours in ARCHITECTURES.items() if "transcoder" not in name}
        return inference.get(sae.architecture) or theirs[sae.architecture]
    if not holds(sae.architecture, is_transcoder=True):
        raise FormatError(
            "SAELens has transcoders with ReLU and JumpReLU only; a TopK transcoder fits sparsify's format."
        )
    fires_at_zero = not sae.tensors.read("threshold").any()
    return ("" if fires_at_zero else "jumprelu_") + ("skip_transcoder" if sae.skip else "transcoder")


def _metadata_of(sae: NativeSae) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "sae_lens_version": VERSION,
        "sae_lens_training_version": None,
        "model_name": sae.model,
        "model_class_name": "HookedTransformer",
        "hook_name": _hook_of(sae.layer, sae.site),
        "hook_head_index": None,
        "context_size": sae.context_length,
        "prepend_bos": True,
        "model_from_pretrained_kwargs": {},
        "l0": sae.l0,
    }
    if sae.is_transcoder:
        metadata["hook_name_out"] = _hook_of(sae.layer, str(sae.output_site))
    trained_as = {ours: theirs for theirs, ours in TRAINED_AS.items()}.get(sae.architecture)
    if trained_as:
        metadata |= {"training_architecture": trained_as, "training_architecture_details": {"k": sae.k}}
    return metadata | {"latent_lens": sae.provenance}


def _hook_of(layer: int, site: str) -> str:
    return f"blocks.{layer}.{ {ours: theirs for theirs, ours in HOOKS.items()}[site] }"
