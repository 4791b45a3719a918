"""API keys in the admin: made there, shown once, deleted there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from latentlens.accounts.models import ApiKey
from latentlens.accounts.services import new_api_key


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = ("name", "prefix", "user", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix")
    readonly_fields = ("prefix", "created_at", "last_used_at")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            key = new_api_key(obj)
            messages.success(request, f"The new key is {key} (shown only now, so copy it).")
        super().save_model(request, obj, form, change)
