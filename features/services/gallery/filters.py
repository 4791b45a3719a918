"""What a gallery can be narrowed by: every name once, with its type, its bounds, its words and its condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.models import Label
from features.services.feature_map import Selection, within
from features.services.labels import current_labels_of
from features.services.search import having_token, holding_words
from latentlens.lib.problems import refused_field
from latentlens.lib.text import clean_text

TEXT_MAXIMUM = 200
CLOSE_TO = ("like", "cofiring", "analysis")

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FeatureIndex = Annotated[int, Field(ge=0, lt=2**31)]


class GalleryFilter(BaseModel):
    """Which features are wanted; None is "whatever". Raises `Refused` when a range or a text is unusable.

    The title of a field is its name on the page, the description stands in the API's schema too.
    """

    model_config = ConfigDict(frozen=True)

    words: str | None = Field(
        default=None,
        title="Words",
        description="Words of labels, notes or top tokens: all of them, the last may be begun.",
    )
    token: str | None = Field(
        default=None,
        title="Top token",
        description="One of the feature's top tokens; case and blanks around do not count.",
    )
    labelled: Literal["true", "false", "person", "machine"] | None = Field(
        default=None, title="Labelled", description="true or false; person or machine: whose the current label is."
    )
    concept: str | None = Field(
        default=None, title="Planted concept", description="The planted concept that it finds (built-in corpus)."
    )
    promoted: str | None = Field(
        default=None, title="Promoted token", description="One of the tokens it promotes most."
    )
    label: str | None = Field(
        default=None, title="Label holds", description="What the current label holds, in any case."
    )
    tag: str | None = Field(default=None, title="Tag", description="A tag of the current label.")
    author: str | None = Field(default=None, title="Author", description="Who wrote the current label: a user name.")
    method: str | None = Field(
        default=None, title="Method", description='How the current label was found: a machine\'s method, or "person".'
    )
    dead: bool | None = Field(default=None, title="Dead", description="It fires on none of the harvested tokens.")
    min_density: Share | None = Field(default=None, title="Density from", description="A share of all tokens.")
    max_density: Share | None = Field(default=None, title="Density to")
    min_max_activation: Amount | None = Field(
        default=None, title="Strongest from", description="Its largest activation."
    )
    max_max_activation: Amount | None = Field(default=None, title="Strongest to")
    min_mean_activation: Amount | None = Field(default=None, title="Mean from", description="Mean over its firings.")
    max_mean_activation: Amount | None = Field(default=None, title="Mean to")
    min_token_share: Share | None = Field(
        default=None, title="One token from", description="Share of its firings that are on its most frequent token."
    )
    max_token_share: Share | None = Field(default=None, title="One token to")
    min_confidence: Share | None = Field(
        default=None, title="Confidence from", description="Of the current label; without one it passes no bound."
    )
    max_confidence: Share | None = Field(default=None, title="Confidence to")
    min_score: Share | None = Field(
        default=None, title="Test from", description="Balanced accuracy of the current label's newest detection test."
    )
    max_score: Share | None = Field(default=None, title="Test to")
    min_concept_f1: Share | None = Field(
        default=None, title="Concept F1 from", description="How well it finds its planted concept."
    )
    max_concept_f1: Share | None = Field(default=None, title="Concept F1 to")
    within: str | None = Field(
        default=None, title="Selection on the map", description="A selection on the map: see `docs/map.md`."
    )
    like: FeatureIndex | None = Field(
        default=None, title="Like feature", description="The nearest of this feature by decoder direction."
    )
    cofiring: FeatureIndex | None = Field(
        default=None,
        title="Fires with feature",
        description="Those that fire on the tokens of this feature, by Jaccard.",
    )
    analysis: UUID | None = Field(
        default=None, title="Fires on text", description="The strongest features on a text that the lens has read."
    )

    @model_validator(mode="after")
    def _is_usable(self) -> GalleryFilter:
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None:
                clean_text(value, field=name, maximum=TEXT_MAXIMUM)
        if self.within is not None:
            Selection.parse(self.within)
        for lower, upper in _RANGES:
            low, high = getattr(self, lower), getattr(self, upper)
            if low is not None and high is not None and low > high:
                words = upper.removeprefix("max_").replace("_", " ")
                raise refused_field(upper, f"The upper {words} is below the lower one: swap them.")
        given = [name for name in CLOSE_TO if getattr(self, name) is not None]
        if len(given) > 1:
            raise refused_field(given[1], f"Only one of {', '.join(CLOSE_TO)} can be asked for at a time.")
        return self

    def conditions(self, experiment_id: int) -> Q:
        """Everything but like, cofiring and analysis. Raises `Conflict` for a selection on a map that is not made."""
        found = Q(experiment=experiment_id)
        for condition in self._given(_CONDITIONS):
            found &= condition
        found &= self._of_label(current_labels_of(experiment_id))
        return found if self.within is None else found & within(experiment_id, self.within)

    def _of_label(self, labels: QuerySet[Label]) -> Q:
        """All that is asked of the current label, in one look at `labels`."""
        wanted, found = self._given(_LABEL_CONDITIONS), Q()
        if self.labelled == "false":
            # Not "none of those": a page is found long before all of them are listed.
            found = Q(~Exists(Label.objects.filter(feature=OuterRef("pk"), is_current=True)))
        elif self.labelled is not None:
            wanted.append(_WHOSE[self.labelled])
        return found & Q(pk__in=labels.filter(*wanted).values("feature")) if wanted else found

    def _given(self, conditions: dict[str, Callable[[Any], Q]]) -> list[Q]:
        values = {name: getattr(self, name) for name in conditions}
        return [conditions[name](value) for name, value in values.items() if value is not None]


def refuse_unknown_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises `Refused` for the first parameter that means nothing: a misspelt filter must not show everything."""
    allowed = {*GalleryFilter.model_fields, *known}
    for name in names:
        if name not in allowed:
            raise refused_field(name[:40], f"There is nothing called “{name[:40]}” to filter or order by.")


def _by(author: str) -> Q:
    name = author.strip()
    return Q(Q(who__iexact=name) | Q(user__username__iexact=name), method="")


def _bounds(column: str) -> dict[str, Callable[[Any], Q]]:
    return {
        f"min_{column}": lambda bound: Q(**{f"{column}__gte": bound}),
        f"max_{column}": lambda bound: Q(**{f"{column}__lte": bound}),
    }


_CONDITIONS: dict[str, Callable[[Any], Q]] = {
    "words": holding_words,
    "token": lambda text: having_token("top", text),
    "promoted": lambda text: having_token("promoted", text),
    "concept": lambda name: Q(concept=name),
    # By the column that an index holds; a range of it would keep SQLite from walking the index of the ordering.
    "dead": lambda wanted: Q(density=0) if wanted else ~Q(density=0),
    **_bounds("density"),
    **_bounds("max_activation"),
    **_bounds("mean_activation"),
    **_bounds("token_share"),
    **_bounds("concept_f1"),
}
# Of the current label, all together.
_LABEL_CONDITIONS: dict[str, Callable[[Any], Q]] = {
    "label": lambda text: Q(text__icontains=text.strip()),
    "tag": lambda name: Q(tags__name=name.strip().lower()),
    "author": _by,
    "method": lambda name: Q(method="" if name == "person" else name),
    **_bounds("confidence"),
    **_bounds("score"),
}
_WHOSE = {"true": Q(), "person": Q(method=""), "machine": ~Q(method="")}
_TEXTS = ("words", "token", "promoted", "concept", "label", "tag", "author", "method")
_RANGES = [(name, f"max_{name[4:]}") for name in GalleryFilter.model_fields if name.startswith("min_")]
