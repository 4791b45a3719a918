"""Names keep to docs/vocabulary.md: other tools' words appear only where their files are read and written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.repository import PACKAGES, ROOT, python_files

# Words of other tools, as whole parts of a name (latent_vector, d_sae, HookPoint).
FOREIGN = re.compile(
    r"(?:^|_)(latents?|neurons?|hook_?(name|point)s?|d_sae|snippets?|annotations?|dataset_path)(?:_|$)"
)
WHERE_OTHER_TOOLS_ARE_SPOKEN_TO = ROOT / "experiments" / "engine" / "formats"


def _names(path: Path) -> Iterator[str]:
    """What this file itself names: functions, classes, parameters, variables, attributes it sets."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_names_use_our_words() -> None:
    foreign = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files(*PACKAGES)
        if WHERE_OTHER_TOOLS_ARE_SPOKEN_TO not in path.parents
        for name in _names(path)
        if FOREIGN.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    }
    assert foreign == set()
