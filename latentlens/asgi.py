"""The web process: pages and API through Django, WebSockets through Channels (which need a session, and our origin)."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, WebsocketDenier
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "latentlens.settings")
_pages = get_asgi_application()

# Consumers import models, so these imports wait for the line above.
from experiments.urls import websocket_urlpatterns  # noqa: E402

_no_such_socket = re_path("", WebsocketDenier.as_asgi())
_sockets = AuthMiddlewareStack(URLRouter([*websocket_urlpatterns, _no_such_socket]))

application = ProtocolTypeRouter({"http": _pages, "websocket": AllowedHostsOriginValidator(_sockets)})
