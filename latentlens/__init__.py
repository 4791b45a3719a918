"""Wiring of Latent Lens: settings, URLs, API, ASGI, Celery and the supervisor."""
