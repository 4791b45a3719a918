"""Undo, for people who label by keyboard: their own last change of a label is taken back, and that is history too."""

from __future__ import annotations

from django.db import transaction

from features.models import Label, LabelRevision
from features.services.labels.authors import Author
from features.services.labels.drafts import LabelDraft
from features.services.labels.writing import edit_label, restore_label, withdraw_label
from latentlens.lib.problems import Conflict

Action = LabelRevision.Action
_UNDOABLE = (Action.ADDED, Action.EDITED, Action.WITHDRAWN, Action.RESTORED)


@transaction.atomic
def undo_last(experiment_id: int, author: Author) -> Label:
    """Takes back the newest change that `author` made in this experiment and has not taken back, and returns the label.

    Raises `Conflict` when there is none, or when somebody changed the label since.
    """
    last = (
        LabelRevision.objects.filter(
            label__experiment=experiment_id, user=author.user, method="", undone=False, action__in=_UNDOABLE
        )
        .select_related("label__feature")
        .order_by("-at", "-pk")
        .first()
    )
    if author.user is None or last is None:
        raise Conflict("There is nothing to undo: you have changed no label of this experiment.")
    label = last.label
    if label.revisions.filter(version__gt=last.version, undone=False).exists():
        raise Conflict(f"“{label.text}” was changed by somebody else since, so your change stays: open its history.")
    _take_back(last, label, author)
    label.revisions.filter(version__gte=last.version).update(undone=True)
    return Label.objects.select_related("feature").get(pk=label.pk)


def _take_back(last: LabelRevision, label: Label, author: Author) -> None:
    if last.action in (Action.ADDED, Action.RESTORED):
        withdraw_label(label.feature_id, label.pk, author)
    elif last.action == Action.WITHDRAWN:
        restore_label(label.feature_id, label.pk, author)
    else:
        before = label.revisions.get(version=last.version - 1)
        draft = LabelDraft(before.text, before.note, tuple(before.tags), before.confidence)
        edit_label(label.feature_id, label.pk, draft, author)
