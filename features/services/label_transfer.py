"""Labels of one experiment taken over by another whose SAE has features like them.

Features are matched one to one by the cosine of their decoder rows, the closest first, as for seed stability (Paulo &
Belrose 2025, arXiv:2501.16615). Where both were harvested on the same text, the Pearson correlation of the activations
counts as well: the match score is the mean of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from experiments.engine.artifacts import ArtifactError
from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, IndexUnavailable
from features.activation_index.firings import Firings, firings_of
from features.activation_index.text import Text, text_of
from features.models import Feature, Label, MachineLabelling
from features.services.labels import Author, LabelDraft, current_labels_of
from features.services.labels.bulk import NewLabel, add_labels
from features.services.machine_labels import TRANSFER, end, refuse_if_busy, send
from latentlens.lib.problems import Conflict, refused_field

LABELS_AT_ONCE = 500
CONVINCING = 0.9
SOURCES_OFFERED = 50
Status = MachineLabelling.Status


def start_transfer(
    experiment: Experiment, source: Experiment | None, user: User | None, least: float = 0.7
) -> MachineLabelling:
    """Lets a worker take over the current labels of `source`. Raises `Refused` or `Conflict`."""
    if source is None or source.pk == experiment.pk:
        raise refused_field("source", "Choose another experiment to take labels from.")
    if not source.has_features or (source.model, source.site) != (experiment.model, experiment.site):
        raise refused_field("source", "Labels are taken from a finished experiment on the same model and site.")
    refuse_if_busy(experiment)
    count = _labels_of(source).count()
    if count == 0:
        raise Conflict("That experiment has no labels to take over.")
    row = MachineLabelling.objects.create(
        experiment=experiment, user=user, method=TRANSFER, source=source, least_match=least, features=count
    )
    send(row)
    return row


def transfer_sources(experiment: Experiment) -> list[Experiment]:
    """The newest experiments whose labels could be taken over."""
    like_it = Experiment.objects.filter(
        status=Experiment.Status.FINISHED, model=experiment.model, site=experiment.site
    ).exclude(pk=experiment.pk)
    labelled = like_it.filter(Exists(Label.objects.filter(experiment=OuterRef("pk"), is_current=True)))
    return list(labelled.order_by("-pk")[:SOURCES_OFFERED])


def transfer_features(row: MachineLabelling) -> None:
    """Matches the labelled features and writes the labels, each with its score, to be reviewed."""
    MachineLabelling.objects.filter(pk=row.pk, status=Status.QUEUED).update(status=Status.RUNNING)
    if row.source is None:
        end(row, Status.FAILED, "The experiment that the labels come from was deleted.")
        return
    try:
        matches = _matches(row.source, row.experiment, row.least_match)
        compare = _Comparison(row.source, row.experiment)
        left = _labels_of(row.source).filter(feature__index__gte=row.next_index)
        labels = left.select_related("feature").prefetch_related("tags").order_by("feature__index")
        found = labels.iterator(chunk_size=LABELS_AT_ONCE)
        while chunk := list(islice(found, LABELS_AT_ONCE)):
            if not _write(row, chunk, matches, compare):
                return
    except (IndexUnavailable, ArtifactError, ValueError) as problem:
        end(row, Status.FAILED, str(problem))
        return
    end(row, Status.FINISHED)


class _Comparison:
    """The correlation of two features' activations, where both experiments read the same text."""

    def __init__(self, source: Experiment, target: Experiment) -> None:
        self._files = [ActivationIndex(experiment_folder(one.pk)).files for one in (source, target)]
        first, second = (text_of(files) for files in self._files)
        self._tokens = first.tokens_read if _is_same(first, second) else None

    def correlation(self, source: int, target: int) -> float | None:
        if self._tokens is None:
            return None
        return _pearson(firings_of(self._files[0], source), firings_of(self._files[1], target), self._tokens)


def _is_same(first: Text, second: Text) -> bool:
    return bool(np.array_equal(first.tokens, second.tokens) and np.array_equal(first.read, second.read))


def _pearson(first: Firings, second: Firings, tokens: int) -> float:
    """Over all tokens read, on most of which both are 0."""
    x, y = first.activations.astype(np.float64), second.activations.astype(np.float64)
    both = float((x * second.activation_at(first.positions)).sum())
    covariance = both / tokens - x.sum() / tokens * y.sum() / tokens
    spread = [float((a**2).sum() / tokens - (a.sum() / tokens) ** 2) for a in (x, y)]
    return float(covariance / math.sqrt(spread[0] * spread[1])) if min(spread) > 0 else 0.0


def _matches(source: Experiment, target: Experiment, least: float) -> dict[int, tuple[int, float]]:
    """Index in `source` to index in `target` and cosine, one to one. Raises ValueError, ArtifactError."""
    from experiments.engine.sae import load_sae  # noqa: PLC0415 - imports torch
    from experiments.engine.seed_stability import matches  # noqa: PLC0415 - imports torch

    first, second = (load_sae(experiment_folder(one.pk)).weights.decoder for one in (source, target))
    if first.shape[1] != second.shape[1]:
        raise ValueError("The hidden states of the two experiments have different widths, so features cannot match.")
    return {one: (other, cosine) for one, other, cosine in matches(first, second, least)}


def _labels_of(source: Experiment) -> QuerySet[Label]:
    """Current labels that are people's, or a machine's that a person approved."""
    return current_labels_of(source.pk).exclude(review__in=(Label.Review.PENDING, Label.Review.REJECTED))


@transaction.atomic
def _write(
    row: MachineLabelling, labels: Sequence[Label], matches: dict[int, tuple[int, float]], compare: _Comparison
) -> bool:
    """One piece: the labels that have a match, and which have none; False when it was cancelled, or done elsewhere."""
    state = MachineLabelling.objects.select_for_update().get(pk=row.pk)
    if state.status != Status.RUNNING or state.next_index > labels[0].feature.index:
        return False
    drafts = list(_drafts(row, labels, matches, compare))
    keys = dict(
        Feature.objects.filter(experiment=row.experiment_id, index__in=[index for index, _, _ in drafts]).values_list(
            "index", "pk"
        )
    )
    here = set(
        Label.objects.filter(feature__in=keys.values(), method=TRANSFER, withdrawn_at=None).values_list(
            "feature", "text"
        )
    )
    fresh = [
        NewLabel(keys[index], draft, facts={"review": Label.Review.PENDING, "match_score": score})
        for index, draft, score in drafts
        if index in keys and (keys[index], draft.text) not in here
    ]
    add_labels(fresh, Author.machine(TRANSFER, row.user))
    missing = [label.feature.index for label in labels if label.feature.index not in matches]
    if missing:
        reason = f"No feature here has a decoder row with a cosine above {row.least_match:g}."
        state.failures.setdefault(reason, []).extend(missing)
    state.done += len(labels)
    state.next_index = labels[-1].feature.index + 1
    state.labelled += len(fresh)
    state.convincing += sum(label.facts["match_score"] >= CONVINCING for label in fresh)
    state.save(update_fields=["failures", "done", "next_index", "labelled", "convincing"])
    return True


def _drafts(
    row: MachineLabelling, labels: Sequence[Label], matches: dict[int, tuple[int, float]], compare: _Comparison
) -> Iterator[tuple[int, LabelDraft, float]]:
    """Index here, label and match score of each label whose feature has a match."""
    for label in labels:
        source = label.feature.index
        if source not in matches:
            continue
        target, cosine = matches[source]
        correlation = compare.correlation(source, target)
        score = cosine if correlation is None else (cosine + correlation) / 2
        measured = f"cosine {cosine:.2f}" + ("" if correlation is None else f", correlation {correlation:.2f}")
        note = f"Taken over from #{source} of experiment {row.source_id} ({measured}).\n{label.note}"[:5_000].strip()
        tags = label.tag_names
        yield target, LabelDraft.of(label.text, note, tags, label.confidence), min(1.0, score)
