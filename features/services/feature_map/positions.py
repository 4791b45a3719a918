"""Where the features lie on a map: one small file for each experiment and method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.engine.artifacts import write_atomically
from experiments.services.folders import experiment_folder
from latentlens.lib.problems import Conflict

COORDINATE_MAXIMUM = 65_535

Positions = NDArray[np.uint16]


def write_positions(path: Path, positions: Positions) -> None:
    """Keeps `positions` [N, 2]: four bytes a feature, in the order of the indices."""
    contents = positions.astype("<u2").tobytes()

    def write(partial: Path) -> None:
        partial.write_bytes(contents)

    write_atomically(path, write)


def read_positions(experiment_id: int, method: str) -> Positions:
    """x and y of each feature [N, 2], from 0 to COORDINATE_MAXIMUM. Raises `Conflict` when there is no such file."""
    try:
        return np.fromfile(experiment_folder(experiment_id).feature_map(method), dtype="<u2").reshape(-1, 2)
    except (OSError, ValueError):
        raise Conflict("This map has not been made yet, or its file is gone: open the map and make it.") from None
