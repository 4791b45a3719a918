"""The page of what experiments keep on disk for each other."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from experiments.services import caches
from latentlens.lib.problems import Conflict, NotFound


@require_GET
def cache(request: HttpRequest) -> HttpResponse:
    """Size, quota, and every entry with who used it."""
    return render(request, "experiments/cache.html", {"nav": "experiments", "cache": caches.cache_state()})


@require_POST
def delete(request: HttpRequest, key: str) -> HttpResponse:
    """Deletes one entry; one that is in use stays, and that is said."""
    try:
        caches.delete_entry(key)
    except NotFound as problem:
        raise Http404 from problem
    except Conflict as conflict:
        messages.error(request, conflict.message)
    else:
        messages.success(request, "The entry was deleted; what is needed again is made again.")
    return redirect("experiments:cache")
