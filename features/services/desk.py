"""The labelling desk: a queue of features by a rule, walked one feature at a time.

A queue is an order and not a list that shrinks: what has been labelled keeps its place, so that one can go back to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Lower, Mod

from features.models import Feature, Label
from features.services.search import having_token
from latentlens.lib.paging import Ordering
from latentlens.lib.problems import refused_field
from latentlens.lib.text import clean_name, clean_text

RULES = {
    "frequent": "Frequent first",
    "random": "Random sample",
    "tag": "With a tag",
    "search": "Found by a word",
    "disagreed": "Labels disagree",
    "review": "Machine labels to review",
}
_PRIME = 2**31 - 1
_PEOPLE_NAMED = 6

_LIVING = Label.objects.filter(feature=OuterRef("pk"), withdrawn_at=None).exclude(review=Label.Review.REJECTED)
LABELLED_BY_A_PERSON = Exists(_LIVING.filter(method=""))


@dataclass(frozen=True)
class Queue:
    """Which features, in which order. Raises `Refused` for a rule that does not exist or lacks its word.

    `seed` is that of the random sample; `word` is a tag, or what a label or a top token holds.
    """

    rule: str = "frequent"
    word: str = ""
    seed: int = 0
    with_labelled: bool = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise refused_field("rule", f"There is no queue “{self.rule[:40]}”: take one of {', '.join(RULES)}.")
        if self.rule in ("tag", "search"):
            clean_name(self.word, field="word", maximum=200)
        clean_text(self.word, field="word", maximum=200)

    @property
    def ordering(self) -> Ordering:
        return Ordering("place", descending=self.rule != "random")


@dataclass(frozen=True)
class Progress:
    """`labelled` of `total` features of a queue have a person's label; `people` are who gave them, most first."""

    total: int
    labelled: int
    people: list[tuple[str, int]]


def queue_of(experiment_id: int, queue: Queue) -> QuerySet[Any]:
    """The features of a queue in its order, each with its `place` in it."""
    features = Feature.objects.filter(_RULES[queue.rule](queue), experiment=experiment_id)
    sign = "-" if queue.ordering.descending else ""
    return features.annotate(place=_place(queue)).order_by(f"{sign}place", f"{sign}pk")


def next_in(experiment_id: int, queue: Queue, after: int | None, skipped: Collection[int] = ()) -> int | None:
    """The index of the next feature to label: after the one with index `after`, else the first of the queue.

    Those with a person's label are passed over unless the queue wants them too; so are the `skipped`.
    """
    features = queue_of(experiment_id, queue)
    if after is not None:
        features = features.filter(_beyond(experiment_id, queue, after, backwards=False))
    if not queue.with_labelled:
        features = features.exclude(LABELLED_BY_A_PERSON)
    if skipped:
        features = features.exclude(index__in=list(skipped))
    return features.values_list("index", flat=True).first()


def previous_in(experiment_id: int, queue: Queue, before: int) -> int | None:
    """The index of the feature one place before, labelled or not."""
    features = queue_of(experiment_id, queue).filter(_beyond(experiment_id, queue, before, backwards=True))
    return features.reverse().values_list("index", flat=True).first()


def progress_of(experiment_id: int, queue: Queue) -> Progress:
    """Three queries."""
    features = queue_of(experiment_id, queue).order_by()
    labels = Label.objects.filter(experiment=experiment_id, withdrawn_at=None, method="")
    people = labels.values("who").annotate(labels=Count("pk")).order_by("-labels", "who")[:_PEOPLE_NAMED]
    return Progress(
        total=features.count(),
        labelled=features.filter(LABELLED_BY_A_PERSON).count(),
        people=[(row["who"] or "unknown", row["labels"]) for row in people],
    )


def _place(queue: Queue) -> Any:
    if queue.rule == "random":
        return Mod(Cast(F("index") + 1, BigIntegerField()) * Value(_multiplier(queue.seed)), Value(_PRIME))
    return F("density")


def _multiplier(seed: int) -> int:
    """(index + 1) x multiplier modulo a prime visits every place once, in an order that looks random."""
    digest = hashlib.sha256(str(seed).encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (_PRIME - 1)


def _beyond(experiment_id: int, queue: Queue, index: int, *, backwards: bool) -> Q:
    """What comes after (or before) the feature with this index, also where the rule no longer holds for it."""
    here = Feature.objects.filter(experiment=experiment_id, index=index).annotate(place=_place(queue))
    found = here.values_list("place", "pk").first()
    if found is None:
        return Q()
    place, key = found
    side = "gt" if queue.ordering.descending == backwards else "lt"
    return Q(**{f"place__{side}": place}) | Q(place=place, **{f"pk__{side}": key})


def _holds_word(queue: Queue) -> Q:
    return having_token("top", queue.word) | Q(Exists(_LIVING.filter(text__icontains=queue.word.strip())))


def _disagree(_: Queue) -> Q:
    living = Label.objects.filter(withdrawn_at=None).exclude(review=Label.Review.REJECTED)
    texts = living.values("feature").annotate(texts=Count(Lower("text"), distinct=True))
    return Q(pk__in=texts.filter(texts__gt=1).values("feature"))


_RULES: dict[str, Callable[[Queue], Q]] = {
    "frequent": lambda _: Q(),
    "random": lambda _: Q(),
    "tag": lambda queue: Q(Exists(_LIVING.filter(tags__name=queue.word.strip().lower()))),
    "search": _holds_word,
    "disagreed": _disagree,
    "review": lambda _: Q(Exists(_LIVING.filter(review=Label.Review.PENDING))),
}
