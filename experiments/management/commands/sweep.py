"""`manage.py sweep`: experiments side by side in the foreground, by the same services and runners as the pages."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.utils import OperationalError, ProgrammingError
from ninja.responses import NinjaJSONEncoder

from experiments.engine.records import Record
from experiments.management.commands import train
from experiments.models import Experiment, Sweep
from experiments.pareto import NUMBERS, sweep_rows
from experiments.progress_bar import ProgressBar
from experiments.runner import run_claimed
from experiments.schemas import SweepOut
from experiments.services.experiments import RESUMABLE
from experiments.services.leases import claim, claim_with_its_sweep, new_owner
from experiments.services.sweeps import members_of, request_of, store_sweep, sweep_by_id
from experiments.sweep_runner import train_side_by_side
from latentlens.lib import shutdown
from latentlens.lib.long_work import prepare_for_long_work
from latentlens.lib.problems import Problem
from latentlens.lib.site_address import site_address

Status = Experiment.Status


# What a terminal has room for; the CSV has the rest, which names say too.
SHOWN = ("experiment", "name", "status", *NUMBERS)


class Command(BaseCommand):
    help = (
        "Train several SAEs side by side, from one pass over the text: architecture, layer, n-features, k, "
        "sparsity-coefficient and seed take lists (16,32,64). Ctrl-C pauses all of them; --resume goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        train.Command().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wanted = options["resume"]
            sweep = sweep_by_id(wanted) if wanted else store_sweep(request_of(train.asked_for(options)), Status.PAUSED)
        except Problem as problem:
            raise CommandError("\n".join(problem.fields.values()) or problem.message) from None
        except (OperationalError, ProgrammingError):
            raise CommandError("The database is not ready: run `manage.py migrate` first.") from None
        prepare_for_long_work()
        with train.logs_in_file(), train.interruptible():
            self._train(sweep)
            self._finish(sweep)
        self._report(sweep, as_json=options["json"])

    def _train(self, sweep: Sweep) -> None:
        owner = new_owner()
        untrained = members_of(sweep).filter(status__in=RESUMABLE).values_list("pk", flat=True)
        claimed: list[int] = next(filter(None, (claim_with_its_sweep(pk, owner, RESUMABLE) for pk in untrained)), [])
        bars = {pk: ProgressBar(sys.stderr) for pk in claimed[:1]}  # one bar: all members go at one pace

        def observe(experiment_id: int, record: Record) -> None:
            if experiment_id in bars:
                bars[experiment_id].show(record)

        if claimed:
            train_side_by_side(
                claimed, owner, observe=observe, after_training=Status.PAUSED, after_shutdown=Status.PAUSED
            )

    def _finish(self, sweep: Sweep) -> None:
        """What follows the training, one experiment after another."""
        for experiment in members_of(sweep).filter(status=Status.PAUSED):
            owner = new_owner()
            if not shutdown.is_requested() and claim(experiment.pk, owner, RESUMABLE):
                self.stderr.write(experiment.name)
                run_claimed(experiment.pk, owner, observe=ProgressBar(sys.stderr).show, after_shutdown=Status.PAUSED)

    def _report(self, sweep: Sweep, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(NinjaJSONEncoder(ensure_ascii=False).encode(SweepOut.from_orm(sweep).dict()))
        else:
            for line in table(sweep_rows(sweep)):
                self.stdout.write(line)
            self.stdout.write(f"{site_address()}{sweep.get_absolute_url()}")
        unfinished = members_of(sweep).exclude(status=Status.FINISHED)
        if unfinished.filter(status=Status.PAUSED).exists():
            go_on = f"Paused. Go on with: manage.py sweep --resume {sweep.pk}"
            raise CommandError(go_on, returncode=train.INTERRUPTED)
        if unfinished.exists():
            raise CommandError(f"{unfinished.count()} of the experiments did not finish; their pages say why.")


def table(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The columns of SHOWN below each other, the head first; numbers to four digits, what is not known as a dash."""
    head = list(rows[0])
    shown = [list(SHOWN), *([_cell(row[head.index(name)]) for name in SHOWN] for row in rows[1:])]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (
            cell.rjust(width) if name in NUMBERS else cell.ljust(width)
            for name, cell, width in zip(SHOWN, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
