"""Analyses in the admin: to search and to delete. A reading is evidence, so nothing of it can be edited."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from lens.models import Analysis


@admin.register(Analysis)
class AnalysisAdmin(admin.ModelAdmin):
    list_display = ("__str__", "experiment", "author", "status", "created_at")
    list_filter = ("status", "experiment", "created_at")
    list_select_related = ("experiment", "author")
    search_fields = ("text",)
    date_hierarchy = "created_at"
    fields = (
        "text",
        "page",
        "experiment",
        "author",
        "status",
        "error",
        "top_k",
        "attempts",
        "created_at",
        "finished_at",
    )
    readonly_fields = fields

    @admin.display(description="Page")
    def page(self, analysis: Analysis) -> SafeString:
        return format_html('<a href="{}">Token by token</a>', analysis.get_absolute_url())

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Analysis | None = None) -> bool:
        return False
