"""What a row of the table is to reach, and by how much it does not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A bound that a ratio is to keep. `for_amx`: it was set for processors that multiply bfloat16 in tiles."""

    bound: float
    at_least: bool = True
    for_amx: bool = False
    unit: str = "x"

    @property
    def text(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}" + (" (AMX)" if self.for_amx else "")

    def verdict(self, value: float, *, amx: bool) -> str:
        if (value >= self.bound) if self.at_least else (value <= self.bound):
            return "met"
        if not self.bound:
            return "missed"
        missing = abs(value - self.bound) / self.bound
        return f"missed by {missing:.0%}" + (", without AMX" if self.for_amx and not amx else "")
