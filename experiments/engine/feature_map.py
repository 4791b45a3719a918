"""Features as points of a plane: a map of the directions of the decoder rows. Needs numpy, no torch.

The rows are read in blocks, so that memory is bounded whatever the number of features: of 131,072 rows of width 768,
8,192 are in memory at once, 50 MB in float64.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

METHODS = ("pca", "umap", "tsne")
SEED = 0
COORDINATE_MAXIMUM = 65_535
# UMAP and t-SNE begin from so many principal components: the rest is little but noise, and would have to be held.
COMPONENTS_BEFORE = 50
BLOCK_ROWS = 8_192

Positions = NDArray[np.uint16]


class MapError(ValueError):
    """A map that cannot be made; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class MapProgress:
    """How far it is: `done` of `total` parts of `stage`."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class MadeMap:
    """`positions` [N, 2]: x and y of each feature from 0 to COORDINATE_MAXIMUM, both on one scale, centred.

    `variance_shares`: with PCA the share of the variance of the directions along x and along y, else None.
    """

    positions: Positions
    variance_shares: tuple[float, float] | None


def make_map(weights: Path, method: str, seed: int = SEED) -> Iterator[MapProgress | MadeMap]:
    """Places the features of a weights file by a method of METHODS; the last record is the map.

    The same file, method and seed give the same map on the same machine. Raises MapError when the weights cannot be
    read, there are too few features, or UMAP or t-SNE is not installed.
    """
    rows = _DecoderRows(weights)
    if method == "pca":
        points, shares = yield from _principal_components(rows, 2)
        yield MadeMap(_on_grid(points), (float(shares[0]), float(shares[1])))
        return
    yield MapProgress("loading the method", 0, 1)
    layout = _layout_of(method, rows.count, seed)
    points, _ = yield from _principal_components(rows, COMPONENTS_BEFORE)
    yield MapProgress("layout", 0, 1)
    yield MadeMap(_on_grid(layout.fit_transform(points.astype(np.float32))), None)


class _DecoderRows:
    """The decoder rows of a weights file, scaled to length one; rows of zeros stay what they are."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        try:
            with safe_open(weights, framework="numpy") as file:
                self.count, self.width = file.get_slice("decoder").get_shape()
        except (OSError, SafetensorError, ValueError):
            raise MapError("The weights of this experiment cannot be read; start the experiment again.") from None

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Blocks of rows with the number of their first row."""
        with safe_open(self._weights, framework="numpy") as file:
            decoder = file.get_slice("decoder")
            for first in range(0, self.count, BLOCK_ROWS):
                block = decoder[first : min(first + BLOCK_ROWS, self.count)].astype(np.float64)
                lengths = np.linalg.norm(block, axis=1, keepdims=True)
                yield first, block / np.where(lengths > 0, lengths, 1.0)


def _principal_components(
    rows: _DecoderRows, wanted: int
) -> Generator[MapProgress, None, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """PCA of the rows, exactly: the eigenvectors of their covariance, in float64 and two readings of the file.

    Returns the points [N, wanted] and the shares of the variance along their axes [wanted]. An axis points to
    where its largest component is positive, so that the map is the same each time.
    """
    total, squares = np.zeros(rows.width), np.zeros((rows.width, rows.width))
    for first, block in rows:
        yield MapProgress("principal components", first, 2 * rows.count)
        total += block.sum(axis=0)
        squares += block.T @ block
    mean = total / max(1, rows.count)
    covariance = squares / max(1, rows.count) - np.outer(mean, mean)
    variances, axes = np.linalg.eigh(covariance)
    kept = min(wanted, rows.width)
    axes = axes[:, ::-1][:, :kept]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(kept)] < 0, -1.0, 1.0)
    points, shares = np.zeros((rows.count, wanted)), np.zeros(wanted)
    for first, block in rows:
        yield MapProgress("principal components", rows.count + first, 2 * rows.count)
        points[first : first + len(block), :kept] = (block - mean) @ axes
    whole = float(np.trace(covariance))
    shares[:kept] = np.clip(variances[::-1][:kept], 0.0, None) / (whole if whole > 0 else 1.0)
    return points, shares


def _layout_of(method: str, count: int, seed: int) -> Any:
    """The object of umap-learn (McInnes et al. 2018) or scikit-learn (t-SNE, van der Maaten 2014) that lays out."""
    if method not in METHODS:
        raise MapError(f"The method must be one of {', '.join(METHODS)}.")
    if count < 5:
        raise MapError("UMAP and t-SNE need at least five features: look at the map by PCA.")
    try:
        if method == "umap":
            from umap import UMAP  # noqa: PLC0415 - an extra

            return UMAP(n_neighbors=min(15, count - 1), metric="cosine", init="pca", random_state=seed, n_jobs=1)
        from sklearn.manifold import TSNE  # noqa: PLC0415 - an extra

        return TSNE(perplexity=min(30.0, (count - 1) / 3), init="pca", random_state=seed)
    except ImportError:
        raise MapError(
            'UMAP and t-SNE are an extra: run pip install ".[worker,map]" where the workers run, and start them again.'
        ) from None


def _on_grid(points: NDArray[Any]) -> Positions:
    """Points [N, 2] as whole numbers, both axes on one scale, so that angles and distances stay what they are."""
    if not len(points):
        return np.zeros((0, 2), np.uint16)
    low, high = points.min(axis=0), points.max(axis=0)
    span = float((high - low).max()) or 1.0
    scaled = 0.5 + (points - (low + high) / 2) / span
    grid: Positions = np.rint(np.clip(scaled, 0.0, 1.0) * COORDINATE_MAXIMUM).astype(np.uint16)
    return grid
