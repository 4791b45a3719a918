"""Machine labels of a whole experiment: asked for, written in pieces, and never in the place of a person's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Avg, Count, F, OuterRef, Subquery
from django.utils import timezone

from experiments.models import Experiment
from experiments.services.folders import experiment_folder
from features.activation_index import ActivationIndex, IndexUnavailable
from features.models import DetectionTest, Feature, Label, MachineLabelling
from features.services.concept_agreement import agreement_facts, planted_by_feature
from features.services.labels import Author, LabelDraft, edit_label
from features.services.labels.bulk import NewLabel, add_labels, settle_labels
from features.tasks import label_by_machine, transfer_labels
from latentlens.lib.problems import Conflict

if TYPE_CHECKING:
    from features.explaining.endpoint import EndpointExplainer
    from features.explaining.explanations import Explainer, Explanation

FEATURES_AT_ONCE = 256
METHOD = "token statistics"
TRANSFER = "transfer"
ENDPOINT_PREFIX = "model "
Status = MachineLabelling.Status


def start_labelling(
    experiment: Experiment, method: str, user: User | None, most: int | None = None
) -> MachineLabelling:
    """Lets a worker label the features of an experiment, the `most` most frequent or all. Raises `Conflict`."""
    row = new_labelling(experiment, method, user, most)
    send(row)
    return row


def new_labelling(experiment: Experiment, method: str, user: User | None, most: int | None = None) -> MachineLabelling:
    """A pass that nobody has begun, for `label_features` to do in the foreground. Raises `Conflict`."""
    refuse_if_busy(experiment)
    if is_endpoint(method) and method != endpoint_method():
        raise Conflict("This installation has no explainer: set EXPLAINER_URL and EXPLAINER_MODEL.")
    count = Feature.objects.filter(experiment=experiment, firings__gt=0).count()
    count = min(count, most) if most is not None else count
    return MachineLabelling.objects.create(experiment=experiment, user=user, method=method, features=count)


def refuse_if_busy(experiment: Experiment) -> None:
    """Raises `Conflict` for an experiment without features, or with a machine at work."""
    if not experiment.has_features:
        raise Conflict("This experiment has no features yet: label them when it has finished.")
    if experiment.machine_labellings.filter(status__in=(Status.QUEUED, Status.RUNNING)).exists():
        raise Conflict("A machine is labelling this experiment already: wait for it, or cancel it.")


def send(row: MachineLabelling) -> None:
    """Tells a worker; also to go on with one that was cut off."""
    task = transfer_labels if row.method == TRANSFER else label_by_machine
    transaction.on_commit(lambda: task.apply_async((row.pk,), retry=False), robust=True)


def go_on(row: MachineLabelling) -> None:
    """Lets a worker go on with a pass that has failed, or that stopped with its worker; others are left alone."""
    stopped = MachineLabelling.objects.filter(pk=row.pk, status__in=(Status.FAILED, Status.RUNNING, Status.QUEUED))
    if stopped.update(status=Status.QUEUED, error="", finished_at=None):
        send(row)


def cancel_labelling(row: MachineLabelling) -> None:
    """Stops it after the features that it is at; labels that are written stay."""
    waiting = MachineLabelling.objects.filter(pk=row.pk, status__in=(Status.QUEUED, Status.RUNNING))
    waiting.update(status=Status.CANCELLED, finished_at=timezone.now())


def label_features(row: MachineLabelling) -> None:
    """Explains, tests and labels the features that are left, a few hundred at a time, until done or cancelled."""
    from features.explaining.endpoint import EndpointUnavailable  # noqa: PLC0415 - for workers alone

    MachineLabelling.objects.filter(pk=row.pk, status=Status.QUEUED).update(status=Status.RUNNING)
    try:
        explanations = _explainer_of(row).explain_all(_features_left(row))
        while chunk := list(islice(explanations, 1 if is_endpoint(row.method) else FEATURES_AT_ONCE)):
            if not _write(row, chunk):
                return
    except (IndexUnavailable, EndpointUnavailable) as problem:
        end(row, Status.FAILED, str(problem))
        return
    end(row, Status.FINISHED)


def is_endpoint(method: str) -> bool:
    return method.startswith(ENDPOINT_PREFIX)


def endpoint_method() -> str | None:
    """The method of the explainer that the installation may ask; None where it has none."""
    if not settings.EXPLAINER_URL or not settings.EXPLAINER_MODEL:
        return None
    return f"{ENDPOINT_PREFIX}{settings.EXPLAINER_MODEL}"[:64]


def _explainer_of(row: MachineLabelling) -> Explainer | EndpointExplainer:
    """Raises IndexUnavailable."""
    from features.explaining.endpoint import Endpoint, EndpointExplainer  # noqa: PLC0415 - numpy and the whole text
    from features.explaining.explanations import Explainer  # noqa: PLC0415 - the same

    index = ActivationIndex(experiment_folder(row.experiment_id))
    if not is_endpoint(row.method):
        explainer = Explainer(index)
        explainer.planted = planted_by_feature(row.experiment, explainer.view)
        return explainer
    endpoint = Endpoint(
        settings.EXPLAINER_URL, settings.EXPLAINER_MODEL, settings.EXPLAINER_API_KEY, settings.EXPLAINER_TIMEOUT
    )
    return EndpointExplainer(index, endpoint)


def _features_left(row: MachineLabelling) -> list[tuple[int, int]]:
    """(index, firings) of the most frequent features that the pass is for, by index, without those that are done."""
    live = Feature.objects.filter(experiment=row.experiment_id, firings__gt=0)
    chosen = live.order_by("-firings", "index").values_list("index", "firings")[: row.features]
    return sorted(pair for pair in chosen if pair[0] >= row.next_index)


def scores_beside(experiment: Experiment, method: str) -> tuple[int, float, float] | None:
    """On the features that both have named and tested: how many, the mean score of `method`, and of counting."""
    counted = Label.objects.filter(
        feature=OuterRef("feature"), method=METHOD, withdrawn_at=None, score__isnull=False
    ).order_by("-pk")
    both = (
        Label.objects.filter(experiment=experiment, method=method, withdrawn_at=None, score__isnull=False)
        .annotate(counted=Subquery(counted.values("score")[:1]))
        .filter(counted__isnull=False)
    )
    found = both.aggregate(labels=Count("pk"), asked=Avg("score"), baseline=Avg("counted"))
    return (found["labels"], found["asked"], found["baseline"]) if found["labels"] else None


def end(row: MachineLabelling, status: str, error: str = "") -> None:
    """A pass that is running has come to an end; one that was cancelled meanwhile stays so."""
    settle_labels()
    running = MachineLabelling.objects.filter(pk=row.pk, status=Status.RUNNING)
    running.update(status=status, error=error, finished_at=timezone.now())


@transaction.atomic
def _write(row: MachineLabelling, explanations: Sequence[Explanation]) -> bool:
    """Labels, their tests and how far it is, in one transaction; False when it was cancelled or done elsewhere."""
    state = MachineLabelling.objects.select_for_update().get(pk=row.pk)
    if state.status != Status.RUNNING or state.next_index > explanations[0].feature:
        return False
    author = Author.machine(row.method, row.user)
    labels = _labels_for(row, explanations, author)
    _store_tests(labels, author)
    failures = state.failures
    for explanation in explanations:
        if explanation.problem:
            failures.setdefault(explanation.problem, []).append(explanation.feature)
    tested = [explanation.detection for explanation, _ in labels if explanation.detection is not None]
    MachineLabelling.objects.filter(pk=row.pk).update(
        done=F("done") + len(explanations),
        next_index=explanations[-1].feature + 1,
        labelled=F("labelled") + len(labels),
        convincing=F("convincing") + sum(test.balanced_accuracy >= MachineLabelling.CONVINCING for test in tested),
        failures=failures,
        agreement=state.agreement | agreement_facts(explanations),
    )
    return True


def _labels_for(
    row: MachineLabelling, explanations: Iterable[Explanation], author: Author
) -> list[tuple[Explanation, Label]]:
    """A label of this method for every explanation: the one that is there, changed where it says something else."""
    said = {explanation.feature: explanation for explanation in explanations if explanation.text}
    keys = dict(Feature.objects.filter(experiment=row.experiment_id, index__in=said).values_list("index", "pk"))
    here = _own_labels(keys.values(), row.method)
    fresh = [
        NewLabel(keys[index], LabelDraft.of(said[index].text, said[index].note), facts={"review": Label.Review.PENDING})
        for index in keys
        if keys[index] not in here
    ]
    for index, key in keys.items():
        if key in here and here[key].text != said[index].text and here[key].review != Label.Review.REJECTED:
            edit_label(key, here[key].pk, LabelDraft.of(said[index].text, said[index].note), author)
    add_labels(fresh, author)
    written = _own_labels(keys.values(), row.method)
    return [(said[index], written[key]) for index, key in keys.items() if key in written]


def _own_labels(features: Iterable[int], method: str) -> dict[int, Label]:
    """The newest living label of a method of each feature."""
    found = Label.objects.filter(feature__in=list(features), method=method, withdrawn_at=None)
    return {label.feature_id: label for label in found.order_by("created_at", "pk")}


def _store_tests(labels: Iterable[tuple[Explanation, Label]], author: Author) -> None:
    """The tests of the labels that say what was tested, and their score beside the label."""
    tests, scored = [], []
    for explanation, label in labels:
        test = explanation.detection
        if test is None or label.text != explanation.text:
            continue
        low, high = test.interval
        tests.append(
            DetectionTest(
                label=label,
                label_version=label.version,
                true_positives=test.true_positives,
                false_negatives=test.false_negatives,
                true_negatives=test.true_negatives,
                false_positives=test.false_positives,
                balanced_accuracy=test.balanced_accuracy,
                low=low,
                high=high,
                **author.columns,
            )
        )
        label.score = test.balanced_accuracy
        scored.append(label)
    DetectionTest.objects.bulk_create(tests)
    Label.objects.bulk_update(scored, ["score"], batch_size=FEATURES_AT_ONCE)
