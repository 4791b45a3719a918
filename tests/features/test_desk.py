"""The labelling desk: the order of its queues, and what its buttons do without JavaScript and with htmx."""

from __future__ import annotations

import itertools

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment
from features.models import Feature, Label
from features.services.desk import Queue, next_in, previous_in, progress_of, queue_of
from features.services.labels import Author, LabelDraft, add_label, edit_label
from latentlens.lib.problems import Refused

HTMX = {"HX-Request": "true"}


def indices(experiment: Experiment, queue: Queue) -> list[int]:
    return list(queue_of(experiment.pk, queue).values_list("index", flat=True))


def feature_at(experiment: Experiment, index: int) -> Feature:
    return Feature.objects.get(experiment=experiment, index=index)


def label(experiment: Experiment, index: int, text: str, author: Author | None = None, **columns: str) -> Label:
    return add_label(feature_at(experiment, index).pk, LabelDraft.of(text, tags=["t"]), author or Author(), **columns)


def walked(experiment: Experiment, queue: Queue) -> list[int]:
    """The indices that `next_in` gives one after the other."""
    found: list[int] = []
    index = next_in(experiment.pk, queue, None)
    while index is not None:
        found.append(index)
        index = next_in(experiment.pk, queue, index)
    return found


def test_the_frequent_queue_is_walked_forwards_and_backwards(experiment: Experiment) -> None:
    expected = list(Feature.objects.order_by("-density", "-pk").values_list("index", flat=True))
    assert walked(experiment, Queue()) == expected
    assert previous_in(experiment.pk, Queue(), expected[0]) is None
    for before, after in itertools.pairwise(expected):
        assert previous_in(experiment.pk, Queue(), after) == before


def test_a_random_sample_is_every_feature_in_an_order_of_its_seed(experiment: Experiment) -> None:
    one, same, other = (indices(experiment, Queue("random", seed=seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert sorted(one) == sorted(other) == sorted(Feature.objects.values_list("index", flat=True))
    assert walked(experiment, Queue("random", seed=1)) == one


def test_labelled_features_are_passed_over_but_keep_their_place(experiment: Experiment) -> None:
    first, second, third = indices(experiment, Queue())[:3]
    label(experiment, second, "known")
    label(experiment, third, "guessed", Author.machine("token statistics"))
    assert next_in(experiment.pk, Queue(), first) == third
    assert next_in(experiment.pk, Queue(with_labelled=True), first) == second
    assert previous_in(experiment.pk, Queue(), third) == second
    assert next_in(experiment.pk, Queue(), first, skipped=[third]) == indices(experiment, Queue())[3]


def test_queues_by_tag_word_disagreement_and_review(experiment: Experiment) -> None:
    label(experiment, 0, "Days of the week")
    label(experiment, 1, "dates")
    label(experiment, 1, "DATES")
    label(experiment, 2, "numbers")
    label(experiment, 2, "years")
    label(experiment, 3, "the token x", Author.machine("token statistics"), review="pending")
    assert set(indices(experiment, Queue("tag", word=" T "))) == {0, 1, 2, 3}
    assert indices(experiment, Queue("search", word="the week")) == [0]
    assert indices(experiment, Queue("search", word="Monday")) == [0]
    assert indices(experiment, Queue("disagreed")) == [2]
    assert indices(experiment, Queue("review")) == [3]


@pytest.mark.parametrize("wrong", [{"rule": "density; drop"}, {"rule": "tag"}, {"rule": "search", "word": "\x00"}])
def test_a_queue_that_cannot_be_is_a_sentence(wrong: dict[str, str]) -> None:
    with pytest.raises(Refused):
        Queue(**wrong)


def test_progress_counts_people_and_not_machines(experiment: Experiment, owner: User) -> None:
    label(experiment, 0, "a", Author.person(owner))
    label(experiment, 1, "b", Author.machine("token statistics"))
    progress = progress_of(experiment.pk, Queue())
    assert (progress.labelled, progress.total) == (1, Feature.objects.count())
    assert progress.people == [("owner", 1)]


def desk(experiment: Experiment, **query: object) -> str:
    return reverse("features:labelling", args=[experiment.pk], query=query)


def test_the_desk_begins_with_the_first_unlabelled_feature(page_client: Client, experiment: Experiment) -> None:
    first, second = indices(experiment, Queue())[:2]
    assert f'data-feature="{first}"' in page_client.get(desk(experiment)).content.decode()
    label(experiment, first, "known")
    html = page_client.get(desk(experiment)).content.decode()
    assert f'data-feature="{second}"' in html
    assert "<strong>1</strong> of" in html


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_saving_goes_on_to_the_next_and_undo_comes_back(
    page_client: Client, experiment: Experiment, owner: User, headers: dict[str, str]
) -> None:
    first, second = indices(experiment, Queue())[:2]
    save = reverse("features:labelling-save", args=[experiment.pk, first])
    content = {"text": "days", "tags": "Dates", "confidence": "0.8"}
    html = page_client.post(save, content, headers=headers, follow=True).content.decode()
    assert f'data-feature="{second}"' in html
    assert f"#{first} is “days”." in html
    saved = Label.objects.get()
    assert (saved.text, saved.confidence, saved.user) == ("days", 0.8, owner)
    undo = reverse("features:labelling-undo", args=[experiment.pk])
    html = page_client.post(undo, headers=headers, follow=True).content.decode()
    assert f'data-feature="{first}"' in html
    assert "Undone: “days”" in html
    assert "nothing to undo" in page_client.post(undo, headers=headers, follow=True).content.decode()


def test_one_s_own_label_is_edited_and_another_s_is_not(page_client: Client, experiment: Experiment) -> None:
    label(experiment, 0, "theirs")
    save = reverse("features:labelling-save", args=[experiment.pk, 0])
    page_client.post(save, {"text": "mine"})
    mine = Label.objects.get(text="mine")
    html = page_client.get(desk(experiment, feature=0)).content.decode()
    assert f'name="label" value="{mine.pk}"' in html
    edit = {"text": "mine, better", "label": mine.pk, "version": mine.version}
    page_client.post(save, edit)
    assert set(Label.objects.values_list("text", flat=True)) == {"theirs", "mine, better"}
    stale = page_client.post(save, edit | {"text": "too late"})
    assert stale.status_code == 422
    assert "mine, better" in stale.content.decode()
    assert 'value="too late"' in stale.content.decode()


def test_a_label_that_was_withdrawn_meanwhile_can_be_saved_anew(page_client: Client, experiment: Experiment) -> None:
    save = reverse("features:labelling-save", args=[experiment.pk, 0])
    refused = page_client.post(save, {"text": "kept words", "label": 999, "version": 1})
    assert refused.status_code == 422
    assert 'value="kept words"' in refused.content.decode()
    page_client.post(save, {"text": "kept words", "label": "", "version": ""})
    assert Label.objects.get().text == "kept words"


def test_a_refused_label_stays_at_its_feature_with_what_was_typed(page_client: Client, experiment: Experiment) -> None:
    save = reverse("features:labelling-save", args=[experiment.pk, 2])
    refused = page_client.post(save, {"text": " ", "note": "a long thought"}, headers=HTMX)
    html = refused.content.decode()
    assert refused.status_code == 422
    assert 'data-feature="2"' in html
    assert "a long thought" in html


def test_a_skipped_feature_is_not_offered_again(page_client: Client, experiment: Experiment) -> None:
    first, second = indices(experiment, Queue())[:2]
    page_client.post(reverse("features:labelling-skip", args=[experiment.pk, first]))
    assert f'data-feature="{second}"' in page_client.get(desk(experiment)).content.decode()


def test_machine_labels_are_reviewed_where_they_are_read(page_client: Client, experiment: Experiment) -> None:
    pending = label(experiment, 3, "the token x", Author.machine("token statistics"), review="pending")
    html = page_client.get(desk(experiment, rule="review")).content.decode()
    assert "the token x" in html
    address = reverse("features:labelling-review", args=[experiment.pk, 3, pending.pk], query={"rule": "review"})
    html = page_client.post(address, {"verdict": "rejected"}, follow=True).content.decode()
    pending.refresh_from_db()
    assert (pending.review, pending.is_current) == ("rejected", False)
    assert "This queue is empty" in html


@pytest.mark.parametrize("query", [{"rule": "nonsense"}, {"rule": "tag"}, {"seed": "x"}, {"seed": "-1"}])
def test_an_address_that_makes_no_sense_is_a_sentence(
    page_client: Client, experiment: Experiment, query: dict[str, str]
) -> None:
    response = page_client.get(desk(experiment, **query))
    assert response.status_code == 422
    assert "errorlist" in response.content.decode()


@pytest.mark.parametrize("feature", ["99999", "-3", "x", "1" * 40, "²"])
def test_a_feature_that_is_not_there_is_no_error(page_client: Client, experiment: Experiment, feature: str) -> None:
    assert page_client.get(desk(experiment, feature=feature)).status_code == 200


def test_the_desk_takes_as_many_queries_for_one_label_as_for_many(
    page_client: Client, experiment: Experiment, django_assert_max_num_queries: object
) -> None:
    page_client.get(desk(experiment, feature=0))
    for _ in range(5):
        made = label(experiment, 0, "x")
        edit_label(made.feature_id, made.pk, LabelDraft("y"), Author())
    with django_assert_max_num_queries(18):  # type: ignore[operator]
        page_client.get(desk(experiment, feature=0))
