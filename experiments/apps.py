from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    name = "experiments"

    def ready(self) -> None:
        from experiments import worker_life  # noqa: F401 - connects itself to Celery's worker signals
