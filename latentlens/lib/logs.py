"""Structured logs: one JSON line per event, with the experiment's id where there is one, and nothing secret.

from latentlens.lib.logs import get_logger, experiment_log
with experiment_log(experiment.pk):
    get_logger(__name__).info("stage started", stage="training")
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger, Processor

_SECRET_NAMES = re.compile(r"key|token$|secret|password|cookie|authorization", re.IGNORECASE)
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s@]*@")
_SIGN_IN_TOKEN = re.compile(r"(/sign-in/)[\w-]{20,}")


def get_logger(name: str) -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


@contextmanager
def experiment_log(experiment_id: int) -> Iterator[None]:
    """Every event inside, from any logger of this thread, carries the experiment's id."""
    with structlog.contextvars.bound_contextvars(experiment=experiment_id):
        yield


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces values of fields named like secrets, and credentials inside any text, by a word."""
    for name, value in event.items():
        if name != "event" and _SECRET_NAMES.search(name):
            event[name] = "(hidden)"
        elif isinstance(value, str):
            event[name] = _SIGN_IN_TOKEN.sub(r"\1(hidden)", _CREDENTIALS_IN_URL.sub("(hidden)@", value))
    return event


_shared: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_configuration(level: str) -> dict[str, Any]:
    """Django's LOGGING, so that the lines of every library have the same shape; also configures structlog itself."""
    logging.captureWarnings(True)  # a warning is an event, too
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    hide_secrets,
                    structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            # Their INFO is one line per request or per poll.
            "uvicorn.access": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
        },
    }
