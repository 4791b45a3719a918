"""Galleries worth a look, each nothing but an address."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True)
class Preset:
    name: str
    state: tuple[tuple[str, str], ...]

    @property
    def query(self) -> str:
        return urlencode(self.state)


PRESETS = (
    Preset("Frequent and unlabelled", (("labelled", "false"), ("ordering", "-density"))),
    Preset("Always on", (("min_density", "10%"), ("ordering", "-density"))),
    Preset("Nearly dead", (("dead", "false"), ("ordering", "density"))),
    Preset("Dead", (("dead", "true"), ("ordering", "index"))),
    Preset("One token", (("min_token_share", "90%"), ("dead", "false"), ("ordering", "-density"))),
    Preset("Strongest", (("ordering", "-max_activation"),)),
    Preset("Doubtful machine labels", (("labelled", "machine"), ("ordering", "score"))),
)
CONCEPTS_FOUND = Preset("Planted concepts found", (("min_concept_f1", "80%"), ("ordering", "-concept_f1")))
