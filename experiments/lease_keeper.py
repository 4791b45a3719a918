"""Keeps a lease alive while the engine is silent: torch is imported, weights are read, a model is downloaded."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from django.db import Error

from experiments.progress import SECONDS_BETWEEN_RENEWALS, Journal
from experiments.services.leases import LeaseLost, renew
from latentlens.lib.fork_guard import database_work
from latentlens.lib.logs import get_logger

# An engine that says nothing for this long hangs; its lease is left to run out, so that another worker may try.
SILENCE_PATIENCE = 15 * 60.0
_log = get_logger(__name__)


class LeaseKeeper(threading.Thread):
    """Renews the leases of its journals in the background, from `with` to the end of the block."""

    def __init__(self, *journals: Journal) -> None:
        super().__init__(name="lease-keeper", daemon=True)
        self._journals = journals
        self._began = time.monotonic()
        self._finished = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finished.set()
        self.join()

    def run(self) -> None:
        while not self._finished.wait(SECONDS_BETWEEN_RENEWALS):
            for journal in self._journals:
                silence = time.monotonic() - max(journal.saved_at, self._began)
                if journal.is_open and SECONDS_BETWEEN_RENEWALS <= silence <= SILENCE_PATIENCE:
                    self._renew(journal)

    def _renew(self, journal: Journal) -> None:
        try:
            with database_work():
                renew(journal.experiment_id, journal.owner)
        except LeaseLost:
            journal.lease_lost = True
        except Error as error:  # the database may be away for a moment; the lease lasts longer than that
            _log.warning("lease not renewed", error=str(error))
