"""All labels in the admin: read beside their evidence, edited in the list, tagged and reviewed many at a time."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from features.admin.filters import MethodFilter
from features.admin.forms import LabelAdminForm, LabelRowForm, TagActionForm
from features.models import Label
from features.services.label_files import FORMATS, export_labels
from features.services.labels import Author, edit_label, review_label, withdraw_label
from features.services.tags import tag_labels
from latentlens.lib.problems import Refused


class WithdrawnFilter(admin.SimpleListFilter):
    title = "withdrawn"
    parameter_name = "withdrawn"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Not withdrawn"), ("yes", "Withdrawn")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Label]) -> QuerySet[Label]:
        return queryset if self.value() is None else queryset.filter(withdrawn_at__isnull=self.value() == "no")


class ScoreFilter(admin.SimpleListFilter):
    title = "detection score"
    parameter_name = "detected"
    _RANGES = {"convincing": (0.8, 1.01), "weak": (0.6, 0.8), "guessing": (0.0, 0.6)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("convincing", "0.8 or more"),
            ("weak", "0.6 to 0.8"),
            ("guessing", "under 0.6"),
            ("none", "not tested"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Label]) -> QuerySet[Label]:
        if self.value() == "none":
            return queryset.filter(score=None)
        if self.value() is None or self.value() not in self._RANGES:
            return queryset
        low, high = self._RANGES[str(self.value())]
        return queryset.filter(score__gte=low, score__lt=high)


@admin.register(Label)
class LabelAdmin(admin.ModelAdmin):
    """All labels of all features. They are added at their feature, and withdrawn instead of deleted."""

    form = LabelAdminForm
    list_display = (
        "feature_link",
        "evidence",
        "text",
        "confidence",
        "tag_names",
        "who",
        "score",
        "review",
        "is_current",
    )
    list_display_links = None
    list_editable = ("text", "confidence")
    list_filter = (
        "review",
        "is_current",
        WithdrawnFilter,
        ScoreFilter,
        MethodFilter,
        "user",
        "tags",
        "experiment",
    )
    search_fields = ("text", "note", "tags__name", "=feature__index")
    readonly_fields = ("feature_link", "who", "is_current", "review", "score", "created_at", "withdrawn_at")
    list_per_page = 50
    action_form = TagActionForm
    actions = ("approve", "reject", "add_tag", "withdraw", "as_csv")

    class Media:
        css = {"all": ["css/features-admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Label]:
        labels = super().get_queryset(request).select_related("feature__experiment")
        return labels.defer("feature__summary").prefetch_related("tags")

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> type[forms.ModelForm]:
        return LabelRowForm

    @admin.display(description="feature")
    def feature_link(self, label: Label) -> SafeString:
        address = reverse("admin:features_feature_change", args=[label.feature_id])
        return format_html('<a href="{}">{} {}</a>', address, label.feature.experiment, label.feature)

    @admin.display
    def evidence(self, label: Label) -> SafeString:
        return render_to_string("features/_card_examples.html", {"feature": label.feature})

    @admin.display(description="tags")
    def tag_names(self, label: Label) -> str:
        return ", ".join(label.tag_names)

    @admin.action(description="Approve the selected machine labels")
    def approve(self, request: HttpRequest, labels: QuerySet[Label]) -> None:
        self._review(request, labels, Label.Review.APPROVED)

    @admin.action(description="Reject the selected machine labels")
    def reject(self, request: HttpRequest, labels: QuerySet[Label]) -> None:
        self._review(request, labels, Label.Review.REJECTED)

    def _review(self, request: HttpRequest, labels: QuerySet[Label], verdict: str) -> None:
        machine = labels.exclude(method="").filter(withdrawn_at=None)
        for label in machine:
            review_label(label.feature_id, label.pk, verdict, Author.of(request))
        messages.success(request, f"{len(machine):,} machine labels are {verdict}; labels by people were left alone.")

    @admin.action(description="Add the tag written beside this to the selected labels")
    def add_tag(self, request: HttpRequest, labels: QuerySet[Label]) -> None:
        try:
            changed = tag_labels(labels.filter(withdrawn_at=None), request.POST.get("tag", ""), Author.of(request))
        except Refused as refusal:
            messages.error(request, refusal.message)
            return
        messages.success(request, f"{changed:,} labels were given the tag.")

    @admin.action(description="Save the selected labels as CSV")
    def as_csv(self, request: HttpRequest, labels: QuerySet[Label]) -> FileResponse:
        made = export_labels(labels, FORMATS["csv"], "labels")
        return FileResponse(made.file, as_attachment=True, filename=made.filename, content_type=made.media_type)

    @admin.action(description="Withdraw the selected labels")
    def withdraw(self, request: HttpRequest, labels: QuerySet[Label]) -> None:
        for label in labels.filter(withdrawn_at=None):
            withdraw_label(label.feature_id, label.pk, Author.of(request))

    def save_model(self, request: HttpRequest, obj: Label, form: Any, change: bool) -> None:
        edit_label(obj.feature_id, obj.pk, form.draft, Author.of(request))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The tags were saved with the rest of the label."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Label | None = None) -> bool:
        return False
