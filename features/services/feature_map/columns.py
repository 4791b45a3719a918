"""A whole map in one compact message: positions, and what its points can be coloured by.

The message is a uint32 (the length of the header), the header (JSON, padded with blanks to a multiple of four), the
columns one after the other as the header lists them, and the texts of the labels (UTF-8, one a line, in the order of
the features that have one). Everything is little-endian. 131,072 features are 2.6 MB and their labels.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Count, Max
from numpy.typing import NDArray

from experiments.services.folders import experiment_folder
from features.models import Feature, FeatureMap, Label, LabelRevision, Tag
from features.services.evidence import concept_titles
from features.services.feature_map.positions import read_positions
from features.services.labels import current_labels_of

UNLABELLED, BY_PERSON, BY_MACHINE = 0, 1, 2
TAGS_MAXIMUM = 32


@dataclass(frozen=True)
class MapColumns:
    """The features of the catalogue that have a place, by rising index; every column is [N].

    `tags` has bit i for `tag_names[i]`, the (at most 32) most used; `concept` is 0 or 1 + a place in `concepts`;
    `texts` are the labels of the features whose `label` is not UNLABELLED.
    """

    index: NDArray[np.uint32]
    density: NDArray[np.float32]
    tags: NDArray[np.uint32]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    concept: NDArray[np.uint16]
    label: NDArray[np.uint8]
    tag_names: list[str]
    concepts: list[dict[str, str]]
    texts: list[str]

    def message(self) -> Iterator[bytes]:
        """The pieces of the binary message."""
        names = ("index", "density", "tags", "x", "y", "concept", "label")
        columns = [(name, getattr(self, name)) for name in names]
        header = {
            "count": len(self.index),
            "columns": [{"name": name, "type": str(column.dtype)} for name, column in columns],
            "tags": self.tag_names,
            "concepts": self.concepts,
        }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 4)
        yield len(text).to_bytes(4, "little") + text
        for _, column in columns:
            yield column.astype(column.dtype.newbyteorder("<")).tobytes()
        yield "\n".join(self.texts).encode()


def version_of(row: FeatureMap) -> str:
    """A word that changes whenever the message may: with the map, the harvest, and any change of any label."""
    features = experiment_folder(row.experiment_id).features
    harvested = features.stat().st_mtime_ns if features.exists() else 0
    changes = LabelRevision.objects.aggregate(newest=Max("pk"))["newest"]
    tags = Tag.objects.aggregate(newest=Max("pk"), count=Count("pk"))
    parts = (row.pk, row.finished_at, harvested, changes, tags["newest"], tags["count"])
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def columns_of(row: FeatureMap) -> MapColumns:
    """The map with what is known about its features, in three queries. Raises `Conflict` when the map is not there."""
    positions = read_positions(row.experiment_id, row.method)
    features = Feature.objects.filter(experiment=row.experiment_id, index__lt=len(positions)).order_by("index")
    found = list(features.values_list("index", "density", "concept"))
    index = np.array([feature[0] for feature in found], np.uint32)
    labels = _labels(row.experiment_id)
    titles = concept_titles(row.experiment)
    concepts = sorted({feature[2] for feature in found} - {""}, key=lambda name: titles.get(name, name))
    numbers = {name: 1 + place for place, name in enumerate(concepts)} | {"": 0}
    tag_names, tags = _tags(row.experiment_id)
    return MapColumns(
        index=index,
        density=np.array([feature[1] for feature in found], np.float32),
        tags=np.array([tags.get(int(one), 0) for one in index], np.uint32),
        x=positions[index, 0],
        y=positions[index, 1],
        concept=np.array([numbers[feature[2]] for feature in found], np.uint16),
        label=np.array([labels.get(int(one), (UNLABELLED, ""))[0] for one in index], np.uint8),
        tag_names=tag_names,
        concepts=[{"name": name, "title": titles.get(name, name)} for name in concepts],
        texts=[labels[int(one)][1] for one in index if int(one) in labels],
    )


def _labels(experiment_id: int) -> dict[int, tuple[int, str]]:
    """Whose the current label of a feature is, and its text on one line."""
    labels = current_labels_of(experiment_id)
    rows = labels.values_list("feature__index", "method", "text")
    return {index: (BY_MACHINE if method else BY_PERSON, " ".join(text.split())) for index, method, text in rows}


def _tags(experiment_id: int) -> tuple[list[str], dict[int, int]]:
    """The most used tags of current labels, by name, and the bits of each feature that has one."""
    uses: Any = Label.tags.through.objects.filter(label__is_current=True, label__experiment=experiment_id)
    rows = list(uses.values_list("label__feature__index", "tag__name"))
    names = sorted(name for name, _ in Counter(name for _, name in rows).most_common(TAGS_MAXIMUM))
    places = {name: place for place, name in enumerate(names)}
    bits: dict[int, int] = {}
    for index, name in rows:
        if name in places:
            bits[index] = bits.get(index, 0) | 1 << places[name]
    return names, bits
