"""What the web process answers: pages and API through Django, WebSockets through Channels.

WebSockets need a session, and our origin.
"""

from __future__ import annotations

import os

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator

from latentlens.lib.request_threads import OneThreadHandler, RequestThreads

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "latentlens.settings")
django.setup(set_prefix=False)
_pages = OneThreadHandler()
_FORM_BYTES = 2**20  # of an upload beside its file: other fields, a config

# Views and consumers import models, so these imports wait for the lines above.
from experiments.services.uploads import LARGEST_UPLOAD_BYTES  # noqa: E402
from latentlens.lib.body_limit import BodyLimit  # noqa: E402
from latentlens.urls import websocket_urlpatterns  # noqa: E402

_sockets = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))

_bounded_pages = BodyLimit(RequestThreads(_pages), LARGEST_UPLOAD_BYTES + _FORM_BYTES)
application = ProtocolTypeRouter({"http": _bounded_pages, "websocket": AllowedHostsOriginValidator(_sockets)})
