"""Features, labels and tags in the admin: search, filter, label and review with the evidence in view."""

from features.admin import features, labels, tags  # noqa: F401 - they register themselves
