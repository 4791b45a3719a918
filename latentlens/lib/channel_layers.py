"""How processes wake each other: the channel layer that Channels is given."""

from __future__ import annotations

from typing import Any


def channel_layers(redis_url: str) -> dict[str, Any]:
    """Django's CHANNEL_LAYERS for `redis_url`; for "" there is no layer, and consumers poll the row instead.

    Reads have no time limit: redis-py's default of 5 s is as long as the layer's blocking read, and would end it with
    an error whenever nothing happens.
    """
    if not redis_url:
        return {}
    host = {"address": redis_url, "socket_timeout": None}
    return {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}}
