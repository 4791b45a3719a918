"""What `manage.py up` does first: refuse what cannot work, bring the database and the static files up to date."""

from __future__ import annotations

import errno
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.checks import ERROR, run_checks
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from experiments.services.demo import queue_demo_once
from latentlens.lib.problems import Conflict, Problem, Refused
from latentlens.lib.process_bonds import ProcessLock


def refuse_broken_settings() -> None:
    """Raises `Refused` with a sentence for each setting that cannot be used."""
    problems = [f"{problem.name}: {problem.message}. {problem.hint}" for problem in settings.SETTING_PROBLEMS]
    problems = problems or [_sentence(check.msg, check.hint) for check in run_checks() if check.level >= ERROR]
    if problems:
        raise Refused("\n".join(problems))


def prepare(say: Callable[[str], object]) -> None:
    """Database, static files, and on the very first start the demo experiment."""
    migrate_if_needed()
    collect_static_if_changed()
    try:
        queue_demo_once()
    except Problem as problem:
        say(f"The demo experiment was not queued: {problem.message}")


def lock_data_dir() -> ProcessLock:
    """One `up` per DATA_DIR; raises `Conflict` if there is one already."""
    lock = ProcessLock(Path(settings.DATA_DIR) / "up.lock")
    if not lock.acquire():
        raise Conflict(
            f"Latent Lens already runs on {settings.DATA_DIR} (process {lock.holder}): "
            "stop it, or set another DATA_DIR."
        )
    return lock


def listening_socket(address: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 means any free one. Raises `Conflict` if the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Port {port} is already taken: stop what uses it, or choose another one (PORT=8001)."
            ) from None
        raise Conflict(f"Cannot listen on {address}, port {port}: {error.strerror}.") from None
    return listener


def migrate_if_needed() -> None:
    """Raises `Refused` if the database cannot be reached."""
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise Refused(f"The database cannot be used ({reason}): start it, or correct DATABASE_URL.") from None


def collect_static_if_changed() -> None:
    """Copying, hashing and compressing takes seconds, so it is done when a source file changed, and only then."""
    root = Path(settings.STATIC_ROOT)
    stamp = root / ".sources"
    fingerprint = _static_fingerprint()
    if stamp.exists() and stamp.read_text() == fingerprint:
        return
    call_command("collectstatic", interactive=False, verbosity=0, clear=root.exists())
    stamp.write_text(fingerprint)


def _static_fingerprint() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list(None):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _sentence(message: str, hint: str | None) -> str:
    return f"{message} {hint}" if hint else message
