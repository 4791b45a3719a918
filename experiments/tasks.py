"""What Celery runs. A task takes an id and imports its runner when it runs, so that sending it costs nothing."""

from celery import shared_task


@shared_task(name="experiments.run")
def run_experiment(experiment_id: int) -> None:
    from experiments.runner import run

    run(experiment_id)


@shared_task(name="experiments.preview_tokens")
def preview_tokens(preview_id: int) -> None:
    from experiments.token_previews import preview

    preview(preview_id)


@shared_task(name="experiments.describe_model")
def describe_model(hub_model_id: int) -> None:
    from experiments.hub_descriptions import describe

    describe(hub_model_id)
