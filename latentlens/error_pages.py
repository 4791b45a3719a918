"""Error pages in our own design, and the same facts as JSON for the API."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from latentlens.lib.problems import problem_body


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 400, "bad_request", "The request could not be understood.")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 403, "forbidden", "You may not do this.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 404, "not_found", "There is nothing at this address.")


def failed(request: HttpRequest) -> HttpResponse:
    return _answer(request, 500, "failed", "Something went wrong on our side; it has been written to the log.")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, 403, "csrf", "This form is too old, or cookies are off: reload the page and try again.")


def _answer(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse(problem_body(code, message), status=status)
    return render(request, "error.html", {"status": status, "message": message}, status=status)
