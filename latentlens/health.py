"""`/healthz`: this process answers. `/readyz`: it can do its work, and which workers there are."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from experiments.services.workers import worker_is_alive

QUEUES = ("experiments", "lens", "features")


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and is migrated, else 503. Missing workers are told, not counted: pages work."""
    try:
        executor = MigrationExecutor(connection)
        is_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        workers = {queue: is_migrated and worker_is_alive(queue) for queue in QUEUES}
    except DatabaseError:
        return JsonResponse({"status": "not ready", "database": False, "migrated": False, "workers": {}}, status=503)
    body = {"status": "ready" if is_migrated else "not ready", "database": True, "migrated": is_migrated}
    return JsonResponse(body | {"workers": workers}, status=200 if is_migrated else 503)
