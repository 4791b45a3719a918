"""What Celery runs on the queue `features`. A task takes an id and imports its runner when it runs."""

from celery import shared_task


@shared_task(name="features.check_labels")
def check_labels(import_id: int) -> None:
    from features.runner import check

    check(import_id)


@shared_task(name="features.apply_labels")
def apply_labels(import_id: int) -> None:
    from features.runner import apply

    apply(import_id)


@shared_task(name="features.label_by_machine")
def label_by_machine(labelling_id: int) -> None:
    from features.runner import label

    label(labelling_id)


@shared_task(name="features.transfer_labels")
def transfer_labels(labelling_id: int) -> None:
    from features.runner import transfer

    transfer(labelling_id)


@shared_task(name="features.make_feature_map")
def make_feature_map(map_id: int) -> None:
    from features.runner import place_features

    place_features(map_id)
