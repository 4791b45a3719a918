"""Filters of the admin's lists by the values of a text column, of which the empty one has a name."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest


class _TextFilter(admin.SimpleListFilter):
    """Django's own shows the empty value as a link without words."""

    nothing: ClassVar[str]  # what the empty value is called, and stands for it in the address

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        column = str(self.parameter_name)
        used = model_admin.model._default_manager.exclude(**{column: ""}).order_by(column)
        texts = used.values_list(column, flat=True).distinct()
        return [(text, text) for text in (self.nothing, *texts)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        text = self.value()
        if text is None:
            return queryset
        return queryset.filter(**{str(self.parameter_name): "" if text == self.nothing else text})


class MethodFilter(_TextFilter):
    title, parameter_name, nothing = "method", "method", "by a person"


class ConceptFilter(_TextFilter):
    title, parameter_name, nothing = "concept", "concept", "no concept"
