"""Labels: what people and machines say a feature is. Written here alone, for every page, the API and the admin."""

from features.services.labels.authors import Author
from features.services.labels.drafts import (
    CONFIDENCE_WORDS,
    NOTE_MAXIMUM,
    TEXT_MAXIMUM,
    LabelDraft,
    clean_tags,
    parse_confidence,
    tags_in,
)
from features.services.labels.reading import (
    current_labels_of,
    find_label,
    history_of,
    labels_of,
    living_labels,
    withdrawn_labels,
)
from features.services.labels.undoing import undo_last
from features.services.labels.writing import (
    StaleLabel,
    add_label,
    choose_label,
    edit_label,
    restore_label,
    review_label,
    withdraw_label,
)

__all__ = [
    "CONFIDENCE_WORDS",
    "NOTE_MAXIMUM",
    "TEXT_MAXIMUM",
    "Author",
    "LabelDraft",
    "StaleLabel",
    "add_label",
    "choose_label",
    "clean_tags",
    "current_labels_of",
    "edit_label",
    "find_label",
    "history_of",
    "labels_of",
    "living_labels",
    "parse_confidence",
    "restore_label",
    "review_label",
    "tags_in",
    "undo_last",
    "withdraw_label",
    "withdrawn_labels",
]
