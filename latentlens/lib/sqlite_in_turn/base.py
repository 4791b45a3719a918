"""SQLite on which the threads of a process write in the order in which they came.

SQLite lets one write at a time and the others ask again, at ever longer intervals, whether they may: whoever comes is
as likely to be next as who has waited for a second, and while many ask, the one that writes has to wait for Python.
Here a transaction takes its turn before it begins. Other processes are waited for as ever.
"""

from __future__ import annotations

import os

from django.db.backends.sqlite3 import base

from latentlens.lib.sqlite_in_turn.turns import Turns

PATIENCE_SECONDS = 20.0  # as long as SQLite itself asks

_turns = Turns()


def _begin_anew() -> None:
    """In a forked child, where the thread whose turn it was does not exist."""
    global _turns
    _turns = Turns()


os.register_at_fork(after_in_child=_begin_anew)


class DatabaseWrapper(base.DatabaseWrapper):
    """The methods are those in which Django begins and ends a transaction; the stubs of its types know none of them."""

    _turn: Turns | None = None  # that this connection has taken and not ended

    def _start_transaction_under_autocommit(self) -> None:
        turns = _turns
        if self._turn is None and turns.take(PATIENCE_SECONDS):
            self._turn = turns
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        # where it fails, a rollback follows, which ends the turn
        self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()
