"""Experiments and what belongs to them in the admin: to search and to look into. What a worker writes is read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments.models import Corpus, Experiment, HubModel, Metric, Sweep, Worker
from experiments.services.experiments import delete_experiment
from latentlens.lib.problems import Conflict


class ReadOnlyAdmin(admin.ModelAdmin):
    """What only programs write: a person may look at it, and delete it where that does no harm."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Sweep)
class SweepAdmin(ReadOnlyAdmin):
    """Deleting a sweep leaves its experiments."""

    list_display = ("name", "created_at")
    search_fields = ("name",)


@admin.register(Experiment)
class ExperimentAdmin(admin.ModelAdmin):
    """Only the name may be changed: the rest is what was run, and what came out."""

    list_display = ("name", "status", "stage", "model", "layer", "site", "n_features", "k", "created_at")
    list_filter = ("status", "stage", "architecture", "site", "is_demo", "created_at")
    list_select_related = ("corpus",)
    search_fields = ("name", "model", "corpus__name", "weights_sha256")
    date_hierarchy = "created_at"

    class Media:
        css = {"all": ["css/experiments-admin.css"]}

    def get_readonly_fields(self, request: HttpRequest, obj: Experiment | None = None) -> list[str]:
        return ["page", *(field.name for field in Experiment._meta.fields if field.name != "name")]

    @admin.display(description="Page")
    def page(self, experiment: Experiment) -> SafeString:
        return format_html('<a href="{}">Progress, curves, quality</a>', experiment.get_absolute_url())

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # the Layer Explorer checks what a form here could not

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.is_held)

    def delete_model(self, request: HttpRequest, obj: Experiment) -> None:
        """With its files, as everywhere."""
        delete_experiment(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> None:
        for experiment in queryset:
            try:
                delete_experiment(experiment.pk)
            except Conflict as conflict:
                self.message_user(request, f"{experiment.name}: {conflict.message}", level="error")


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    list_display = ("experiment", "step", "tokens", "sequence")
    list_filter = ("experiment",)
    list_select_related = ("experiment",)
    search_fields = ("experiment__name",)


@admin.register(Corpus)
class CorpusAdmin(ReadOnlyAdmin):
    """A corpus is what experiments have read; only its name may be changed."""

    list_display = ("name", "source", "column", "documents", "size_bytes", "created_at")
    list_filter = ("source", "created_at")
    search_fields = ("name", "hub_id", "content_hash")

    def get_readonly_fields(self, request: HttpRequest, obj: Corpus | None = None) -> list[str]:
        return [field.name for field in Corpus._meta.fields if field.name != "name"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "queues", "heartbeat_at", "started_at")
    list_filter = ("queues",)
    search_fields = ("name", "queues")


@admin.register(HubModel)
class HubModelAdmin(ReadOnlyAdmin):
    list_display = ("hub_id", "revision", "commit", "error", "answered_at")
    search_fields = ("hub_id", "commit", "error")
    list_filter = ("answered_at",)
