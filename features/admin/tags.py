"""Tags in the admin: renamed, counted and merged."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from features.admin.forms import TagActionForm, TagAdminForm
from features.models import Tag
from features.services.labels import Author
from features.services.tags import merge_tags
from latentlens.lib.problems import Refused


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    form = TagAdminForm
    list_display = ("name", "labels_with_it")
    search_fields = ("name",)
    action_form = TagActionForm
    actions = ("merge",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        tags: QuerySet[Any] = super().get_queryset(request).annotate(uses=Count("labels"))
        return tags

    @admin.display(ordering="uses", description="labels")
    def labels_with_it(self, tag: Any) -> int:
        return int(tag.uses)

    @admin.action(description="Merge the selected tags into the tag written beside this")
    def merge(self, request: HttpRequest, tags: QuerySet[Tag]) -> None:
        try:
            labels = merge_tags(list(tags), request.POST.get("tag", ""), Author.of(request))
        except Refused as refusal:
            messages.error(request, refusal.message)
            return
        messages.success(request, f"{labels:,} labels have the tag now.")
