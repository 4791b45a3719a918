"""The JSON API: `/api/...`, its description at `/openapi.json`, interactive at `/docs`."""

from __future__ import annotations

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from experiments.api import cache_router, corpora_router
from experiments.api import router as experiments_router
from experiments.import_api import exports_router
from experiments.import_api import router as imports_router
from experiments.sweep_api import router as sweeps_router
from features.api import router as features_router
from features.evidence_api import router as evidence_router
from features.file_api import router as labels_router
from features.map_api import router as maps_router
from features.search_api import router as search_router
from latentlens.accounts.api_auth import KeyAuth, PageAuth
from latentlens.lib.problems import Problem, problem_body
from lens.api import router as lens_router

_log = logging.getLogger(__name__)
_CODES = {400: "bad_request", 401: "not_signed_in", 403: "forbidden", 404: "not_found", 413: "too_large"}

api = NinjaAPI(
    title="Latent Lens",
    version="1",
    description="Train sparse autoencoders on hidden states, browse the features, read prompts through them.",
    urls_namespace="api",
    auth=[KeyAuth(), PageAuth()],
)
# App routers, each below /api/.
api.add_router("/api/experiments", experiments_router)
api.add_router("/api/experiments", exports_router)
api.add_router("/api/imports", imports_router)
api.add_router("/api/sweeps", sweeps_router)
api.add_router("/api/corpora", corpora_router)
api.add_router("/api/cache", cache_router)
api.add_router("/api/features", features_router)
api.add_router("/api/features", evidence_router)
api.add_router("/api/labels", labels_router)
api.add_router("/api/maps", maps_router)
api.add_router("/api/search", search_router)
api.add_router("/api/activations", lens_router)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return api.create_response(request, problem.body, status=problem.status)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    fields = {_field_of(item["loc"]): _sentence(item["msg"]) for item in error.errors}
    message = "; ".join(f"{field}: {sentence}" for field, sentence in fields.items())
    return api.create_response(request, problem_body("refused", message, fields), status=422)


@api.exception_handler(AuthenticationError)
def _not_signed_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    message = "Send a valid API key in the header X-API-Key, or sign in."
    return api.create_response(request, problem_body("not_signed_in", message), status=401)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return api.create_response(request, problem_body("not_found", "There is nothing at this address."), status=404)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    code = _CODES.get(error.status_code, "bad_request")
    return api.create_response(request, problem_body(code, f"{error.message}."), status=error.status_code)


@api.exception_handler(Exception)
def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    _log.error("request failed: %s %s", request.method, request.path, exc_info=error)
    message = "Something went wrong on our side; it has been written to the log."
    return api.create_response(request, problem_body("failed", message), status=500)


def _field_of(location: tuple[Any, ...]) -> str:
    """("body", "payload", "k") names the field "k"; list positions are kept."""
    names = [str(part) for part in location]
    return ".".join(names[2:] or names[-1:])


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]
