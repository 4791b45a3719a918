"""SAEs of other tools as experiments: what the files say, what a person adds, and where the files go.

Nobody names a path: files come as an upload (see `import_files`), or lie in a folder that is known by its id.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from experiments.engine.artifacts import sha256_of
from experiments.engine.config import HOLDS_K, ImportConfig
from experiments.engine.formats import ForeignSae, FormatError, files_of, look_into
from experiments.engine.model_card import ModelCard
from experiments.models import Experiment
from experiments.services.configurations import Configuration, ExperimentRequest, configure, default_values, known_card
from experiments.services.estimates import refuse_what_does_not_fit
from experiments.services.experiments import store_configuration
from experiments.services.folders import experiment_folder
from experiments.services.language_models import resolve_model
from experiments.services.queue import enqueue
from experiments.services.typed_settings import Raw, is_empty
from latentlens.lib.problems import Refused, refused_field

# What a person may say of an import; all else is in its files, or belongs to a training.
OF_IMPORTS = (
    "layer",
    "site",
    "output_site",
    "dtype",
    "context_length",
    "packing",
    "deduplicate",
    "streaming",
    "evaluation_tokens",
    "splice_tokens",
    "harvest_tokens",
    "variants",
)


class ImportRequest:
    """What a person says of an SAE of another tool; what is empty is as its files say.

    `settings` are those of OF_IMPORTS, each a value or the text that was typed.
    """

    def __init__(
        self, model: str = "", *, name: str = "", revision: str = "", corpus: int | str = "builtin", **settings: Raw
    ) -> None:
        self.model, self.name, self.revision, self.corpus = model.strip(), name, revision, corpus
        self.settings = {name: value for name, value in settings.items() if not is_empty(value)}


def create_import(folder: Path, request: ImportRequest) -> Experiment:
    """Checks the SAE in `folder`, stores it as an experiment and queues that. Raises Refused."""
    experiment = store_import(folder, request, Experiment.Status.QUEUED)
    enqueue(experiment.pk)
    return experiment


def store_import(folder: Path, request: ImportRequest, status: str) -> Experiment:
    """The row of the experiment, with copies of the files. `paused` keeps it away from the workers."""
    foreign = look(folder)
    configuration = _configuration_of(foreign, request)
    root = Path(settings.ARTIFACTS_DIR)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="import-") as made:
        staged = Path(made) / "imported"
        staged.mkdir()
        weights, *others = (Path(shutil.copyfile(path, staged / path.name)) for path in files_of(folder))
        assert others, "a config lies beside the weights"
        origin = ImportConfig(
            foreign.tool, foreign.version, sha256_of(weights), dict(foreign.config), list(foreign.notes)
        )
        config = replace(configuration.config, imported=origin)
        refuse_what_does_not_fit(config, configuration.card)
        with transaction.atomic():
            experiment = store_configuration(replace(configuration, config=config), status)
            place = experiment_folder(experiment.pk).imported
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(place)
    return experiment


def look(folder: Path) -> ForeignSae:
    """What the SAE in `folder` is, by its files. Raises Refused."""
    try:
        return look_into(folder)
    except FormatError as error:
        raise refused_field("files", str(error)) from error


def _configuration_of(foreign: ForeignSae, request: ImportRequest) -> Configuration:
    """The experiment that an import is: what its files say, and over it what the person says."""
    _refuse_settings_of_trainings(request)
    values = {**_said_by_files(foreign, _card_of(foreign, request)), **request.settings}
    model = request.model or foreign.origin.model or ""
    if mistakes := _missing(foreign, model, values):
        raise Refused(" ".join(mistakes.values()), mistakes)
    if not foreign.is_transcoder and "output_site" in values:
        raise refused_field("output_site", "This SAE is no transcoder: it reconstructs what it reads.")
    configuration = configure(
        ExperimentRequest(model, name=request.name, revision=request.revision, corpus=request.corpus, **values)
    )
    _refuse_another_width(foreign, configuration)
    if request.name.strip():
        return configuration
    return replace(configuration, name=f"{configuration.name} of {foreign.tool}")


def _refuse_settings_of_trainings(request: ImportRequest) -> None:
    if unknown := sorted(request.settings.keys() - set(OF_IMPORTS)):
        name = unknown[0][:40]
        raise refused_field(name, f"An import has no setting “{name}”: its files say it, or it belongs to a training.")


def _card_of(foreign: ForeignSae, request: ImportRequest) -> ModelCard | None:
    """What is known of the model; its mistakes are told later, with all others."""
    try:
        return known_card(resolve_model(request.model or foreign.origin.model or "", request.revision or None))
    except Refused:
        return None


def _said_by_files(foreign: ForeignSae, card: ModelCard | None) -> dict[str, Raw]:
    """The settings that follow from the files."""
    said: dict[str, Any] = {
        "architecture": foreign.architecture,
        "n_features": foreign.n_features,
        "k": foreign.k,
        "skip": foreign.skip,
        "layer": foreign.origin.layer,
        "site": foreign.origin.site,
        "output_site": foreign.origin.output_site if foreign.is_transcoder else None,
        "context_length": foreign.origin.context_length,
    }
    if foreign.k is None and foreign.architecture in HOLDS_K:  # then it says nothing but where a fine-tuning aims
        said["k"] = min(int(default_values()["k"]), foreign.n_features)
    if card and foreign.origin.context_length and foreign.origin.context_length > card.context_length:
        said["context_length"] = None
    return {name: value for name, value in said.items() if value is not None}


def _missing(foreign: ForeignSae, model: str, values: dict[str, Raw]) -> dict[str, str]:
    """What neither the files nor the person say, a sentence for each field."""
    wanted = {"model": model, "layer": values.get("layer"), "site": values.get("site")}
    if foreign.is_transcoder:
        wanted["output_site"] = values.get("output_site")
    titles = {
        "model": "of which model it reads hidden states",
        "layer": "which layer it reads",
        "site": "which site it reads",
        "output_site": "which site it reconstructs",
    }
    return {
        name: f"Its files do not say {titles[name]}: choose the {name.replace('_', ' ')}."
        for name, value in wanted.items()
        if is_empty(value)
    }


def _refuse_another_width(foreign: ForeignSae, configuration: Configuration) -> None:
    """The heads' outputs side by side may be wider than the model; the worker looks there."""
    config, card = configuration.config, configuration.card
    places = [(config.site, foreign.width), (config.sae.output_site or config.site, foreign.output_width)]
    for site, width in places:
        if card is not None and site != "attn_heads" and width != card.width:
            raise refused_field(
                "model",
                f"This SAE is for hidden states of {width:,} numbers; those of {config.model.name} have "
                f"{card.width:,}.",
            )
