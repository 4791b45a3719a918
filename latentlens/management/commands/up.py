"""`manage.py up`: the whole of Latent Lens on one machine, until Ctrl-C."""

from __future__ import annotations

import contextlib
import http.client
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from latentlens import startup
from latentlens.accounts.services import installation_owner, new_sign_in_token
from latentlens.lib.problems import Problem
from latentlens.lib.site_address import forget_site_address, note_site_address
from latentlens.supervisor import Supervisor, embedded_children


class Command(BaseCommand):
    help = "Start the web process and the workers, and keep them running until Ctrl-C."
    # Problems are told in plain sentences instead (startup.refuse_broken_settings).
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            startup.refuse_broken_settings()
            lock = startup.lock_data_dir()
            listener = startup.listening_socket(settings.BIND_ADDRESS, settings.PORT)
            startup.prepare(self.stderr.write)
        except Problem as problem:
            raise CommandError(problem.message) from None
        token = new_sign_in_token(installation_owner())
        connections.close_all()  # the children open their own
        try:
            self._supervise(listener, token)
        finally:
            forget_site_address()
            listener.close()
            lock.release()

    def _supervise(self, listener: socket.socket, token: str) -> None:
        address = _address_of(listener)
        note_site_address(address)
        children = embedded_children(settings.LOGS_DIR, listener.fileno(), settings.LOG_LEVEL)
        supervisor = Supervisor(children, settings.BASE_DIR, self._tell)
        supervisor.start()
        try:
            supervisor.run(until=lambda: _answers(listener))
            if not supervisor.is_stopping:
                self._tell(f"Latent Lens runs at {address}/ - sign in once with {address}/sign-in/{token}/")
                self._tell(f"API key (header X-API-Key): {settings.API_KEY}")
                supervisor.run()
            self._tell("Stopping ...")
        finally:
            supervisor.stop()

    def _tell(self, line: str) -> None:
        """Whoever read our output may be gone; that is no reason to stop."""
        with contextlib.suppress(BrokenPipeError):
            self.stdout.write(line)
            self.stdout.flush()


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - shown, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _answers(listener: socket.socket) -> bool:
    """Does the web process answer /healthz?"""
    host, port = listener.getsockname()[:2]
    connection = http.client.HTTPConnection({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port, timeout=2)  # noqa: S104
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
