"""What Celery runs. The runner is imported when a task runs, so that sending one costs nothing."""

from celery import shared_task


@shared_task(name="lens.read_prompt")
def read_prompt(analysis_id: str) -> None:
    from lens.runner import read

    read(analysis_id)


@shared_task(name="lens.prepare")
def prepare_lens(experiment_id: int) -> None:
    from lens.runner import prepare

    prepare(experiment_id)
