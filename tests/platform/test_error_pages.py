"""What goes wrong is said in our own design, or as JSON to programs; never with a trace or a path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from latentlens import error_pages
from latentlens.urls import urlpatterns as product_urls

pytestmark = pytest.mark.django_db


def _broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("secret path /srv/secret")


urlpatterns = [path("broken/", _broken), path("api/broken", _broken), *product_urls]
handler404 = error_pages.not_found
handler500 = error_pages.failed


@pytest.fixture
def forgiving(page_client: Client) -> Iterator[Client]:
    """Shows the answer instead of raising what happened in the view."""
    page_client.raise_request_exception = False
    with override_settings(ROOT_URLCONF=__name__):
        yield page_client


def test_an_unknown_page(page_client: Client) -> None:
    answer = page_client.get("/no-such-page/")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.content.decode()
    assert "Latent Lens" in answer.content.decode()


def test_an_unknown_address_of_the_api(api_client: Client) -> None:
    answer = api_client.get("/api/no-such-thing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_failure_shows_no_trace(forgiving: Client) -> None:
    answer = forgiving.get("/broken/")
    assert answer.status_code == 500
    text = answer.content.decode()
    assert "written to the log" in text
    assert "secret" not in text
    assert "Traceback" not in text


def test_a_failure_is_json_for_programs(forgiving: Client) -> None:
    answer = forgiving.get("/api/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "failed"


def test_a_host_we_do_not_know(client: Client) -> None:
    assert client.get("/sign-in/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("body", ["{", "[1]", '"text"', '{"a": NaN}', "\x00", ""])
def test_a_body_that_is_not_the_expected_json(api_client: Client, body: str) -> None:
    answer = api_client.post("/api/activations/analyze", body, content_type="application/json")
    assert answer.status_code in {400, 422}
    error = answer.json()["error"]
    assert error["message"]
    assert "Traceback" not in error["message"]


def test_the_api_describes_itself(client: Client) -> None:
    description = client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    for operations in description["paths"].values():
        for operation in operations.values():
            assert {"401", "404", "409", "422"} <= set(operation["responses"])
