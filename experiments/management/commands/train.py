"""`manage.py train`: an experiment in the foreground, by the same services and the same runner as the pages."""

from __future__ import annotations

import logging
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.utils import OperationalError, ProgrammingError
from ninja.responses import NinjaJSONEncoder

from experiments.corpus_options import add_corpus, corpus_named
from experiments.models import Experiment
from experiments.progress_bar import ProgressBar
from experiments.quality_card import quality_card
from experiments.runner import run_claimed
from experiments.schemas import ExperimentOut
from experiments.services.configurations import ExperimentRequest, middle_layer
from experiments.services.experiments import RESUMABLE, experiment_by_id, store_experiment
from experiments.services.leases import claim, conclude, new_owner
from experiments.services.typed_settings import refuse_lists
from experiments.setting_options import add_settings, settings_given
from latentlens.lib import shutdown
from latentlens.lib.long_work import prepare_for_long_work
from latentlens.lib.problems import Problem
from latentlens.lib.site_address import site_address

Status = Experiment.Status
INTERRUPTED = 130  # what a shell expects of a command that was ended by Ctrl-C


class Command(BaseCommand):
    help = "Train an SAE in the foreground. Ctrl-C pauses the experiment; --resume goes on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", help="builtin, a folder of MODELS_DIR, or a hub id (default DEFAULT_MODEL_NAME)")
        parser.add_argument("--revision", default="", help="branch, tag or commit of a hub model")
        add_corpus(parser)
        parser.add_argument("--start-from", metavar="ID", help="a finished experiment whose SAE is trained further")
        parser.add_argument("--name", default="", help="what the experiment is called")
        parser.add_argument("--resume", type=int, metavar="ID", help="go on with a paused or failed experiment")
        parser.add_argument("--json", action="store_true", help="print what the API answers, and nothing else")
        add_settings(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        owner = new_owner()
        try:
            experiment = self.chosen(options)
        except Problem as problem:
            raise CommandError("\n".join(problem.fields.values()) or problem.message) from None
        except (OperationalError, ProgrammingError):
            raise CommandError("The database is not ready: run `manage.py migrate` first.") from None
        if not claim(experiment.pk, owner, RESUMABLE):
            raise CommandError(f"Experiment {experiment.pk} is in the hands of another worker just now.")
        prepare_for_long_work()
        with logs_in_file(), interruptible():
            self._run(experiment.pk, owner)
        self._report(experiment_by_id(experiment.pk), as_json=options["json"])

    def chosen(self, options: dict[str, Any]) -> Experiment:
        """The experiment that is run: `paused`, so that no worker takes it before this process does."""
        if options["resume"]:
            return _to_resume(options["resume"])
        refuse_lists(settings_given(options))
        return store_experiment(ExperimentRequest(**asked_for(options)), Status.PAUSED)

    def _run(self, experiment_id: int, owner: str) -> None:
        bar = ProgressBar(sys.stderr)
        try:
            run_claimed(experiment_id, owner, observe=bar.show, after_shutdown=Status.PAUSED)
        except KeyboardInterrupt:  # a second Ctrl-C does not wait for the checkpoint
            conclude(experiment_id, owner, Status.PAUSED)

    def _report(self, experiment: Experiment, *, as_json: bool) -> None:
        if as_json:
            snapshot = ExperimentOut.from_orm(experiment).dict()
            self.stdout.write(NinjaJSONEncoder(ensure_ascii=False).encode(snapshot))
        elif experiment.status == Status.FINISHED:
            self._summary(experiment)
        if experiment.status == Status.PAUSED:
            go_on = f"Paused. Go on with: manage.py train --resume {experiment.pk}"
            raise CommandError(go_on, returncode=INTERRUPTED)
        if experiment.status != Status.FINISHED:
            raise CommandError(experiment.error or f"The experiment was {experiment.get_status_display().lower()}.")

    def _summary(self, experiment: Experiment) -> None:
        card = quality_card(experiment)
        facts = [*card.facts, *card.concept_facts] if card else []
        self.stdout.write(f"{experiment.name} ({card.sample if card else 'not measured'})")
        for fact in facts:
            self.stdout.write(f"  {fact.explanation.title:<32} {fact.value:>8}  {fact.note}")
        self.stdout.write(f"  {'Weights (SHA-256)':<32} {experiment.weights_sha256}")
        self.stdout.write(f"{site_address()}{experiment.get_absolute_url()}")


def asked_for(options: dict[str, Any]) -> dict[str, Any]:
    """What a request is made of, from the options of the command."""
    model = options["model"] or settings.DEFAULT_MODEL_NAME
    given = settings_given(options)
    if "layer" not in given:
        given["layer"] = middle_layer(model, options["revision"])
    texts = {name: options[name] for name in ("name", "revision", "start_from")}
    corpus = corpus_named(options)
    return {"model": model, "corpus": corpus.pk, **texts, **given}


def _to_resume(experiment_id: int) -> Experiment:
    experiment = experiment_by_id(experiment_id)
    if experiment.status not in RESUMABLE:
        state = experiment.get_status_display().lower()
        raise CommandError(f"Experiment {experiment_id} is {state}; only a paused or failed one can be resumed.")
    Experiment.objects.filter(pk=experiment_id).update(attempts=0)
    return experiment


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for a checkpoint and an end; a second Ctrl-C ends at once."""

    def ask(number: int, _frame: object) -> None:
        if shutdown.is_requested() and number == signal.SIGINT:
            raise KeyboardInterrupt
        shutdown.request()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def logs_in_file() -> Iterator[None]:
    """The log goes where those of the workers are; the terminal is for the progress bar."""
    folder = Path(settings.LOGS_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    handlers = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    with (folder / "train.log").open("a", encoding="utf-8") as log:
        streams = [handler.setStream(log) for handler in handlers]
        try:
            yield
        finally:
            for handler, stream in zip(handlers, streams, strict=True):
                handler.setStream(stream)
