from django.urls import path

from experiments import cache_views, import_views, metric_views, sweep_views, views
from experiments.consumers import ExperimentConsumer

app_name = "experiments"
_one = "experiments/<int:experiment_id>/"
_sweep = "sweeps/<int:sweep_id>/"
urlpatterns = [
    path("", views.experiment_list, name="home"),
    path("experiments/", views.experiment_list, name="list"),
    path("experiments/new/", views.new, name="new"),
    path("experiments/new/layers/", views.layers, name="layers"),
    path("experiments/new/estimate/", views.estimate, name="estimate"),
    path("experiments/new/settings/", views.settings, name="settings"),
    path("experiments/new/preview/", views.ask_preview, name="ask_preview"),
    path("experiments/previews/<int:preview_id>/", views.preview, name="preview"),
    path("experiments/import/", import_views.new, name="import"),
    path("experiments/cache/", cache_views.cache, name="cache"),
    path("experiments/cache/<str:key>/delete/", cache_views.delete, name="cache-delete"),
    path("metrics/", metric_views.metrics, name="metrics"),
    path("metrics/<slug:name>/", metric_views.metric, name="metric"),
    path(_one, views.detail, name="detail"),
    path(f"{_one}row/", views.row, name="row"),
    path(f"{_one}export/<slug:name>/", import_views.export, name="export"),
    path(f"{_one}delete/", views.delete, name="delete"),
    path(f"{_one}cancel/", views.change, {"action": "cancel"}, name="cancel"),
    path(f"{_one}pause/", views.change, {"action": "pause"}, name="pause"),
    path(f"{_one}harvest/", views.change, {"action": "harvest"}, name="harvest"),
    path(f"{_one}resume/", views.change, {"action": "resume"}, name="resume"),
    path("sweeps/", sweep_views.sweep_list, name="sweeps"),
    path("sweeps/new/", sweep_views.new, name="sweep-new"),
    path(_sweep, sweep_views.detail, name="sweep"),
    path(f"{_sweep}results/", sweep_views.results, name="sweep-results"),
    path(f"{_sweep}cancel/", sweep_views.change, {"action": "cancel"}, name="sweep-cancel"),
    path(f"{_sweep}pause/", sweep_views.change, {"action": "pause"}, name="sweep-pause"),
    path(f"{_sweep}resume/", sweep_views.change, {"action": "resume"}, name="sweep-resume"),
    path(f"{_sweep}sweep.csv", sweep_views.table, name="sweep-table"),
]
websocket_urlpatterns = [path("ws/experiments/<int:experiment_id>", ExperimentConsumer.as_asgi())]
