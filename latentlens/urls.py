"""Every address of the site. The API's own paths are in `latentlens/api.py`."""

from __future__ import annotations

from channels.security.websocket import WebsocketDenier
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from experiments.urls import websocket_urlpatterns as sockets_of_experiments
from latentlens import error_pages, health
from latentlens.api import api

admin.site.site_header = admin.site.site_title = "Latent Lens"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("latentlens.accounts.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("favicon.ico", login_not_required(RedirectView.as_view(url=lazy(static, str)("img/mark.svg")))),
    path("docs/", RedirectView.as_view(pattern_name="api:openapi-view")),
    path("", include("experiments.urls")),
    path("", include("features.urls")),
    path("", include("lens.urls")),
    path("", api.urls),
]
websocket_urlpatterns = [*sockets_of_experiments, re_path("", WebsocketDenier.as_asgi())]
handler400 = error_pages.bad_request
handler403 = error_pages.forbidden
handler404 = error_pages.not_found
handler500 = error_pages.failed
