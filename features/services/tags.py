"""Tags of many labels at once: added, and merged into one. Each label that changes has it in its history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction

from features.models import Label, Tag
from features.services.labels import Author, LabelDraft, clean_tags, edit_label


@transaction.atomic
def tag_labels(labels: Iterable[Label], name: str, author: Author) -> int:
    """Adds a tag to labels, and returns how many did not have it. Raises `Refused`."""
    (tag,) = clean_tags([name])
    changed = 0
    for label in labels:
        names = set(label.tag_names)
        if tag not in names:
            _retag(label, names | {tag}, author)
            changed += 1
    return changed


@transaction.atomic
def merge_tags(tags: Sequence[Tag], name: str, author: Author) -> int:
    """Gives the labels with any of `tags` the tag `name` in its place, and forgets the others. Raises `Refused`.

    Returns how many labels have it then.
    """
    (kept,) = clean_tags([name])
    merged = {tag.name for tag in tags} - {kept}
    labels = Label.objects.filter(tags__name__in=merged).distinct().prefetch_related("tags")
    for label in labels:
        names = set(label.tag_names)
        if label.withdrawn_at is None:
            _retag(label, names - merged | {kept}, author)
        else:
            target, _ = Tag.objects.get_or_create(name=kept)
            label.tags.add(target)
    Tag.objects.filter(name__in=merged).delete()
    return Label.objects.filter(tags__name=kept).count()


def _retag(label: Label, names: set[str], author: Author) -> None:
    draft = LabelDraft.of(label.text, label.note, names, label.confidence)
    edit_label(label.feature_id, label.pk, draft, author)
