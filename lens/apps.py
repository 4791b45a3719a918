from django.apps import AppConfig


class LensConfig(AppConfig):
    name = "lens"

    def ready(self) -> None:
        from features.services.gallery import register
        from lens.services.neighbourhoods import strongest_on_text

        register("analysis", strongest_on_text)
