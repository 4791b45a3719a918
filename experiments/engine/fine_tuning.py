"""Training that starts from a finished SAE instead of random weights."""

from __future__ import annotations

from experiments.engine.architectures.jumprelu import SMALLEST_THRESHOLD
from experiments.engine.artifacts import ArtifactError, ExperimentFolder
from experiments.engine.config import ConfigError, ExperimentConfig
from experiments.engine.folding import unfolded, with_unit_rows
from experiments.engine.input_statistics import Scales
from experiments.engine.kernels import Weights
from experiments.engine.language_model import LanguageModel
from experiments.engine.sae import Sae, load_sae


def load_start(config: ExperimentConfig, folder: ExperimentFolder, model: LanguageModel, device: str) -> Sae:
    """The SAE that `config` starts from. Raises ArtifactError when it is gone, ConfigError when it is of another kind.

    k, the model, the layer, the site and the corpus may be others; architecture, features and width may not.
    """
    assert config.start is not None, "only asked for where there is a start"
    try:
        sae = load_sae(folder, device, config.start.weights_sha256)
    except ArtifactError:
        raise ArtifactError(
            f"The SAE of experiment {config.start.experiment}, which this one starts from, is gone or has changed."
        ) from None
    about, wanted = sae.description, config.sae
    if (about.architecture, about.n_features) != (wanted.architecture, wanted.n_features):
        raise ConfigError(
            "start_from",
            f"Experiment {config.start.experiment} has {about.n_features:,} features of the architecture "
            f"{about.architecture}; what starts from it must have the same.",
        )
    output = config.output_place or config.place
    widths = (model.width_of(config.place), model.width_of(output))
    if (about.width, sae.output_width) != widths or about.is_transcoder != wanted.is_transcoder:
        raise ConfigError(
            "start_from",
            f"The SAE of experiment {config.start.experiment} reads hidden states of {about.width:,} numbers and "
            f"reconstructs {sae.output_width:,}; here they have {widths[0]:,} and {widths[1]:,}.",
        )
    if (sae.weights.skip is not None) != wanted.skip:
        has, asked = ("no", "has none") if wanted.skip else ("a", "has one, too")
        raise ConfigError(
            "start_from",
            f"The SAE of experiment {config.start.experiment} has {has} skip connection; what starts from it {asked}.",
        )
    return sae


def starting_weights(start: Sae, random: Weights, scales: Scales) -> Weights:
    """The weights of `start` for scaled hidden states; of `random` ones where an architecture has more in training.

    A threshold that is only fitted after training is left out, as training does without it; one of JumpReLU has a
    logarithm there. Decoder rows are brought to length one, as training keeps them.
    """
    found = unfolded(with_unit_rows(start.weights), scales).present()
    if "threshold" in found:
        found["threshold"] = found["threshold"].clamp_min(SMALLEST_THRESHOLD)
    return Weights(**{name: found.get(name, weight).clone() for name, weight in random.present().items()})
