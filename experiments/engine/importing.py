"""The SAE of another tool as one of ours, in place of a training: its weights, and what the text says about it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import torch

from experiments.engine.artifacts import ArtifactError, ExperimentFolder, sha256_of
from experiments.engine.capture import HiddenStates, Reading, capture_segment
from experiments.engine.config import MEASURED_TOKENS, ConfigError, ExperimentConfig
from experiments.engine.corpus import WindowSet, capture_finished
from experiments.engine.folding import with_subtracted_bias, with_unit_rows
from experiments.engine.formats import ForeignSae, look_into, read_weights, weights_file
from experiments.engine.job import Job
from experiments.engine.kernels import Weights
from experiments.engine.language_model import LanguageModel
from experiments.engine.pace import Pace
from experiments.engine.records import Record, StageFinished
from experiments.engine.sae import Sae, SaeDescription, save_sae
from experiments.engine.windows import first_windows


def native_weights(folder: Path, device: str = "cpu") -> Weights:
    """The weights of another tool's SAE in `folder`, as ours: float32, our conventions, the same reconstruction.

    Activations are as the tool gives them. Raises FormatError for files that cannot be read.
    """
    foreign = look_into(folder)
    tensors = {name: torch.from_numpy(array).to(device) for name, array in read_weights(folder).items()}
    weights = Weights(**tensors)
    if not (foreign.conventions.subtracts_decoder_bias or foreign.is_transcoder):
        weights = with_subtracted_bias(weights)
    return with_unit_rows(weights) if foreign.conventions.scales_by_row_norm else weights


def import_sae(job: Job, model: LanguageModel, windows: WindowSet) -> Generator[Record, None, Sae]:
    """Puts the SAE in the `imported` folder of `job` in place of one that was trained: writes its files and says so.

    Raises FormatError, ArtifactError and ConfigError for one that cannot be used.
    """
    folder, config = ExperimentFolder(job.folder), job.config
    foreign = _checked(folder, config, model)
    weights = native_weights(folder.imported, job.device)
    measured = yield from _measure(config, model, windows)
    yield capture_finished(windows, 1, measured.outliers_left_out, measured.norm_limit)
    description = SaeDescription(
        architecture=config.sae.architecture,
        n_features=config.sae.n_features,
        width=foreign.width,
        k=config.sae.k,
        model=config.model.canonical,
        layer=config.layer,
        site=config.site,
        norm_limit=measured.norm_limit,
        output_site=config.sae.output_site,
    )
    sae = Sae(weights, description)
    firing = len(sae.encode(measured.states).features) / max(1, len(measured.states))
    sae = Sae(weights, replace(description, expected_l0=firing))
    save_sae(sae, folder)
    yield StageFinished("training", {"weights_sha256": sha256_of(folder.weights), "steps": 0})
    weights_file(folder.imported).unlink()  # whoever took the record knows that ours are there
    return sae


def _checked(folder: ExperimentFolder, config: ExperimentConfig, model: LanguageModel) -> ForeignSae:
    assert config.imported is not None, "only asked for where there is an import"
    foreign = look_into(folder.imported)
    if sha256_of(weights_file(folder.imported)) != config.imported.weights_sha256:
        raise ArtifactError("The imported weights have changed since they came; import them again.")
    output = config.output_place or config.place
    widths = (model.width_of(config.place), model.width_of(output))
    if (foreign.width, foreign.output_width) != widths:
        raise ConfigError(
            "site",
            f"The imported SAE reads hidden states of {foreign.width:,} numbers and reconstructs "
            f"{foreign.output_width:,}; at this place of the model they have {widths[0]:,} and {widths[1]:,}.",
        )
    return foreign


def _measure(
    config: ExperimentConfig, model: LanguageModel, windows: WindowSet
) -> Generator[Record, None, HiddenStates]:
    """The hidden states of the first windows, without the outliers that they themselves tell."""
    text = first_windows(windows.training, MEASURED_TOKENS)
    pace, read = Pace("capture", text.text_tokens, text.text_tokens), 0
    capturing = capture_segment(model, text, [Reading(config.place)])
    while True:
        try:
            done = next(capturing)
        except StopIteration as end:
            (states,) = end.value
            return states  # type: ignore[no-any-return]  # what a generator returns is Any to mypy
        pace.advance(done - read, done - read)
        read = done
        if pace.due:
            yield pace.report("reading text")
