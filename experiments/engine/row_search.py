"""Finding the rows of a matrix whose products with a vector are largest or smallest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.engine.kernels import multiplies_bfloat16

# So many times as many rows as are wanted are looked at again where the first look is in bfloat16: its error is far
# below the distance between the last row that is wanted and the last that is looked at.
CANDIDATES_PER_ROW = 2


class RowSearch:
    """Looks among `rows` [M, W], float32.

    Where the device multiplies bfloat16 faster, all products are taken so, and then those of a few candidates in
    float32: these decide, and are what is returned.
    """

    def __init__(self, rows: Tensor) -> None:
        is_faster = multiplies_bfloat16() if rows.device.type == "cpu" else rows.device.type == "cuda"
        self._rows, self._multiplied = rows, rows.bfloat16() if is_faster else rows

    def products(self, vectors: Tensor, without: Tensor | None = None) -> Products:
        """Those of each vector [V, W] with every row; `without` [V] names one row for each that is left out."""
        found = vectors.to(self._multiplied.dtype) @ self._multiplied.T
        if without is not None:
            found.scatter_(1, without[:, None], -torch.inf)
        return Products(self._rows, vectors, found)


@dataclass(frozen=True)
class Products:
    """The products of vectors with rows, exact or rounded: `found` [V, M]."""

    rows: Tensor
    vectors: Tensor
    found: Tensor

    def largest(self, count: int) -> tuple[Tensor, Tensor]:
        """The `count` largest of each vector in float32, falling, and their rows: [V, count] twice."""
        return self._ends(count, largest=True)

    def smallest(self, count: int) -> tuple[Tensor, Tensor]:
        """The same of the smallest, rising."""
        return self._ends(count, largest=False)

    def _ends(self, count: int, *, largest: bool) -> tuple[Tensor, Tensor]:
        if self.found.dtype == self.rows.dtype:
            values, rows = self.found.topk(count, largest=largest)
            return values, rows
        looked_at = min(CANDIDATES_PER_ROW * count, self.found.shape[1])
        rounded, candidates = self.found.topk(looked_at, largest=largest, sorted=False)
        exact = torch.einsum("vcw,vw->vc", self.rows[candidates], self.vectors)
        exact.masked_fill_(rounded.isinf(), -torch.inf)
        values, chosen = exact.topk(count, largest=largest)
        return values, candidates.gather(1, chosen)
