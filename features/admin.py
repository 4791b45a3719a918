"""Features, labels and tags in the admin: search, filter, and label with the evidence in view."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from features.models import Feature, Label, Tag
from features.services.gallery import LABELLED, current_labels
from features.services.labels import Author, LabelDraft, add_label, clean_tags, edit_label, withdraw_label
from latentlens.lib.problems import Refused


class LabelAdminForm(forms.ModelForm):
    """Keeps the rules of `LabelDraft`."""

    class Meta:
        model = Label
        fields = ("text", "tags", "confidence", "note")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            self.draft = self._draft(cleaned)
        except Refused as refusal:
            raise forms.ValidationError(dict(refusal.fields)) from None
        return cleaned | {"text": self.draft.text, "note": self.draft.note}

    def _draft(self, cleaned: dict[str, Any]) -> LabelDraft:
        """The whole label: what the form does not show stays as it is."""
        old = self.instance
        tags = cleaned["tags"] if "tags" in self.fields else old.tags.all() if old.pk else ()
        note = cleaned.get("note", old.note)
        return LabelDraft.of(cleaned["text"], note, [tag.name for tag in tags], cleaned["confidence"])


class TagAdminForm(forms.ModelForm):
    def clean_name(self) -> str:
        try:
            return clean_tags([self.cleaned_data["name"]])[0]
        except Refused as refusal:
            raise forms.ValidationError(refusal.message) from None


class LabelInline(admin.StackedInline):
    """The labels of a feature that have not been withdrawn, and an empty form for another."""

    model = Label
    form = LabelAdminForm
    fields = ("text", "tags", "confidence", "note", "is_current")
    readonly_fields = ("is_current",)
    autocomplete_fields = ("tags",)
    extra = 1
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Label]:
        return super().get_queryset(request).filter(withdrawn_at=None)


class LabelledFilter(admin.SimpleListFilter):
    title = "labelled"
    parameter_name = "labelled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Labelled"), ("no", "Unlabelled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Feature]) -> QuerySet[Feature]:
        wanted = {"yes": LABELLED, "no": ~LABELLED}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(wanted)


@admin.register(Feature)
class FeatureAdmin(admin.ModelAdmin):
    """Features come from the harvest: nothing about them can be changed but their labels."""

    list_display = ("index", "experiment", "current_label", "density", "max_activation", "concept")
    list_filter = (LabelledFilter, "experiment", "concept")
    search_fields = ("=index", "labels__text", "labels__tags__name", "token_search")
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


@admin.register(Label)
class LabelAdmin(admin.ModelAdmin):
    """All labels of all features. They are added at their feature, and withdrawn instead of deleted."""

    form = LabelAdminForm
    list_display = ("feature_link", "text", "confidence", "tag_names", "who", "is_current", "withdrawn_at")
    list_display_links = None
    list_editable = ("text", "confidence")
    list_filter = ("is_current", "tags", "user", "method", "feature__experiment")
    search_fields = ("text", "note", "tags__name", "=feature__index")
    autocomplete_fields = ("tags",)
    readonly_fields = ("feature_link", "who", "is_current", "created_at", "withdrawn_at")
    actions = ("withdraw",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Label]:
        labels = super().get_queryset(request).select_related("feature__experiment")
        return labels.defer("feature__summary", "feature__card").prefetch_related("tags")

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> type[forms.ModelForm]:
        return LabelAdminForm

    @admin.display(description="feature")
    def feature_link(self, label: Label) -> SafeString:
        address = reverse("admin:features_feature_change", args=[label.feature_id])
        return format_html('<a href="{}">{} {}</a>', address, label.feature.experiment, label.feature)

    @admin.display(description="tags")
    def tag_names(self, label: Label) -> str:
        return ", ".join(tag.name for tag in label.tags.all())

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


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    form = TagAdminForm
    list_display = ("name", "labels_with_it")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        tags: QuerySet[Any] = super().get_queryset(request).annotate(uses=Count("labels"))
        return tags

    @admin.display(ordering="uses", description="labels")
    def labels_with_it(self, tag: Any) -> int:
        return int(tag.uses)
