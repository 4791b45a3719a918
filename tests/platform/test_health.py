"""What a load balancer asks."""

from __future__ import annotations

import pytest
from django.db import DatabaseError
from django.test import Client

from experiments.services.workers import record_heartbeat
from latentlens import health


def test_health_needs_no_session(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_says_which_workers_are_alive(client: Client, db: None) -> None:
    record_heartbeat("host:1", ["lens", "features"])
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["workers"] == {"experiments": False, "lens": True, "features": True}


def test_not_ready_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(connection: object) -> None:
        raise DatabaseError("connection refused at secret.internal")

    monkeypatch.setattr(health, "MigrationExecutor", unreachable)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "secret.internal" not in answer.content.decode()
