"""What the web process answers: pages and API through Django, WebSockets through Channels.

WebSockets need a session, and our origin.
"""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "latentlens.settings")
_pages = get_asgi_application()

# Views and consumers import models, so this import waits for the line above.
from latentlens.urls import websocket_urlpatterns  # noqa: E402

_sockets = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))

application = ProtocolTypeRouter({"http": _pages, "websocket": AllowedHostsOriginValidator(_sockets)})
