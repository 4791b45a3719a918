"""Documentation is tested like code: every setting, route, API operation and command has its line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from django.core.management import call_command, get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from latentlens.api import api
from tests.architecture.repository import PACKAGES, ROOT, tracked_files

# Django's own admin has a documentation of its own.
NOT_OURS = ("admin/",)
# Set by settings.py for libraries that read them, unless somebody else has.
OF_LIBRARIES = ("HF_H", "TOKENIZERS", "OMP_", "THP_")


def _variables_read() -> list[str]:
    """The names that settings.py asks the environment for, in its order."""
    source = (ROOT / "latentlens" / "settings.py").read_text("utf-8")
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            first = node.args[0] if node.args else None
            if owner in {"_environment", "os.environ"} and isinstance(first, ast.Constant):
                names.append((node.lineno, node.col_offset, str(first.value)))
    return [name for _, _, name in sorted(names) if not name.startswith(OF_LIBRARIES)]


def test_every_variable_is_in_the_example_in_the_same_order() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    assert re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE) == _variables_read()


def test_every_variable_is_explained_in_the_same_order() -> None:
    explained = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE)
    assert explained == _variables_read()


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if not route.startswith(NOT_OURS):
                yield from _routes(pattern.url_patterns, route)
        elif not route.startswith("api/"):
            yield "/" + route


def _reference() -> str:
    return (ROOT / "docs" / "reference.md").read_text("utf-8")


@pytest.mark.parametrize("route", sorted(set(_routes(get_resolver().url_patterns))))
def test_every_route_is_documented(route: str) -> None:
    assert f"`{route}`" in _reference()


@pytest.mark.parametrize(
    "operation",
    sorted(
        f"{method.upper()} {path}"
        for path, operations in api.get_openapi_schema()["paths"].items()
        for method in operations
    ),
)
def test_every_operation_of_the_api_is_documented(operation: str) -> None:
    assert f"`{operation}`" in _reference()


def _own_commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if str(app).split(".")[0] in PACKAGES)


@pytest.mark.parametrize("command", _own_commands())
def test_every_command_is_documented(command: str) -> None:
    assert f"`{command}" in _reference()


def test_links_between_documents_lead_somewhere() -> None:
    missing = []
    for document in tracked_files():
        if document.suffix == ".md":
            for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text("utf-8")):
                if not (document.parent / target).exists():
                    missing.append(f"{document.relative_to(ROOT)} -> {target}")
    assert missing == []


def test_make_help_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony
    assert set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)) == set(phony[1].split())


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
