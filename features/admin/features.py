"""Features in the admin: found, with their evidence, and labelled there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from features.admin.filters import ConceptFilter
from features.admin.forms import LabelAdminForm
from features.models import Feature, Label
from features.services.gallery import current_labels
from features.services.labels import Author, add_label, edit_label


class LabelInline(admin.StackedInline):
    """The labels of a feature that have not been withdrawn, and an empty form for another."""

    model = Label
    form = LabelAdminForm
    fields = ("text", "tags", "confidence", "note", "is_current")
    readonly_fields = ("is_current",)
    extra = 1
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Label]:
        return super().get_queryset(request).filter(withdrawn_at=None).prefetch_related("tags")


class LabelledFilter(admin.SimpleListFilter):
    title = "labelled"
    parameter_name = "labelled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Labelled"), ("no", "Unlabelled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Feature]) -> QuerySet[Feature]:
        labelled = Exists(Label.objects.filter(feature=OuterRef("pk"), is_current=True))
        wanted = {"yes": labelled, "no": ~labelled}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(wanted)


@admin.register(Feature)
class FeatureAdmin(admin.ModelAdmin):
    """Features come from the harvest: nothing about them can be changed but their labels."""

    list_display = ("index", "experiment", "current_label", "evidence", "density", "max_activation", "concept")
    list_per_page = 50
    list_filter = (LabelledFilter, "experiment", ConceptFilter)
    search_fields = ("=index", "labels__text", "labels__tags__name", "words__tokens")
    search_help_text = "An index, a word of a label, a tag, or one of the top tokens."
    fields = ("experiment", "index", "evidence", "firings", "tokens", "density", "max_activation", "mean_activation")
    readonly_fields = fields
    inlines = (LabelInline,)
    show_full_result_count = False

    class Media:
        css = {"all": ["css/features-admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feature]:
        features = super().get_queryset(request).select_related("experiment")
        return features.defer("summary").prefetch_related(current_labels())

    @admin.display(description="label")
    def current_label(self, feature: Any) -> str:
        return next((label.text for label in feature.current_labels), "")

    @admin.display
    def evidence(self, feature: Feature) -> SafeString:
        return render_to_string("features/_card_examples.html", {"feature": feature})

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """New labels are signed and changed ones keep their history, by the same services as everywhere."""
        author = Author.of(request)
        formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        for row in formset.forms:
            if not row.has_changed():
                continue
            if row.instance.pk is None:
                formset.new_objects.append(add_label(form.instance.pk, row.draft, author))
            else:
                label = edit_label(form.instance.pk, row.instance.pk, row.draft, author)
                formset.changed_objects.append((label, row.changed_data))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Feature | None = None) -> bool:
        return False
