from django.apps import AppConfig


class LatentlensConfig(AppConfig):
    name = "latentlens"
    verbose_name = "Latent Lens"

    def ready(self) -> None:
        # The Celery application must exist before the first task is sent; importing checks registers them.
        from latentlens import celery, checks  # noqa: F401
        from latentlens.lib import fork_guard

        fork_guard.install()
