"""Labels from a file: checked first, with a report of what would happen, then written, in pieces that can be resumed.

Importing is idempotent: a row that is already there is recognised by its feature and the time at which the label was
made, or where the file does not say it by its feature, text and author, and then only what differs is changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from experiments.models import Experiment
from features.models import Feature, Label, LabelImport
from features.services.label_files.columns import LABEL_COLUMNS, Row
from features.services.label_files.formats import FORMATS, format_of
from features.services.label_files.reading import UnreadableFile
from features.services.label_files.records import LabelRecord, LabelsHere
from features.services.labels import Author, edit_label
from features.services.labels.bulk import NewLabel, add_labels, settle_labels
from features.tasks import apply_labels, check_labels
from latentlens.lib.problems import Conflict, NotFound, Refused, TooLarge, refused_field

Status = LabelImport.Status
LARGEST_IMPORT_BYTES = 256 * 2**20
ROWS_AT_ONCE = 1_000
PROBLEMS_KEPT = 100


class UploadedBytes(Protocol):
    name: str | None

    def chunks(self) -> Iterable[bytes]: ...


@dataclass
class ImportReport:
    """How many rows are what; `problems` are the first of those that cannot be taken, each in one sentence."""

    rows: int = 0
    new: int = 0
    same: int = 0
    changed: int = 0
    conflicting: int = 0
    unknown: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    def tell(self, sentence: str) -> None:
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(sentence)


@dataclass(frozen=True)
class _Judged:
    verdict: str
    record: LabelRecord
    feature_id: int
    label: Label | None


def start_import(experiment: Experiment, file: UploadedBytes, user: User | None) -> LabelImport:
    """Keeps an uploaded file, and lets a worker check it. Raises `Refused` or `TooLarge`, and then keeps nothing."""
    row = new_import(experiment, file, user)
    transaction.on_commit(lambda: check_labels.apply_async((row.pk,), retry=False), robust=True)
    return row


def new_import(experiment: Experiment, file: UploadedBytes, user: User | None) -> LabelImport:
    """The same, for the foreground: nobody is told to check it."""
    if not experiment.has_features:
        raise Conflict("This experiment has no features yet: import labels when it has finished.")
    name = Path(file.name or "").name
    format = format_of(name)
    row = LabelImport(experiment=experiment, user=user, filename=name[-200:], format=format.name)
    folder = Path(settings.LABEL_IMPORTS_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    handle = tempfile.NamedTemporaryFile(dir=folder, prefix="import-", suffix=f".{format.name}", delete=False)  # noqa: SIM115
    try:
        with handle:
            _store(handle, file.chunks())
        row.file = Path(handle.name).name
        row.save()
    except BaseException:
        Path(handle.name).unlink(missing_ok=True)
        raise
    return row


def find_import(experiment_id: int, import_id: int) -> LabelImport:
    """Raises `NotFound`."""
    row = LabelImport.objects.filter(experiment=experiment_id, pk=import_id).first()
    if row is None:
        raise NotFound("There is no such import of labels.")
    return row


def check_import(row: LabelImport) -> LabelImport:
    """The dry run: reads the whole file, writes nothing, and keeps the report."""
    report = ImportReport()
    try:
        for chunk in _chunks(_records(row, report)):
            for judged in _judge(row.experiment_id, chunk, report):
                setattr(report, judged.verdict, getattr(report, judged.verdict) + 1)
        row.status = Status.CHECKED
    except (UnreadableFile, Refused) as problem:
        row.status, row.error = Status.FAILED, str(problem)
    row.report = asdict(report)
    row.save(update_fields=["status", "error", "report"])
    return row


def ask_to_apply(row: LabelImport, *, take_conflicting: bool = False) -> None:
    """Lets a worker write a checked import, or go on with one that was cut off. Raises `Conflict`."""
    waiting = LabelImport.objects.filter(pk=row.pk, status__in=(Status.CHECKED, Status.APPLYING))
    if not waiting.update(status=Status.APPLYING, take_conflicting=take_conflicting):
        raise Conflict("This import cannot be written: upload the file again.")
    row.refresh_from_db()
    transaction.on_commit(lambda: apply_labels.apply_async((row.pk,), retry=False), robust=True)


def discard_import(row: LabelImport) -> None:
    """Forgets an import and its file; labels that it has written stay."""
    _path(row).unlink(missing_ok=True)
    row.delete()


def apply_import(row: LabelImport) -> LabelImport:
    """Writes what the file holds, a thousand rows at a time; what was written before is recognised and left."""
    report = ImportReport()
    author = Author.person(row.user)
    try:
        for chunk in _chunks(_records(row, report)):
            with transaction.atomic():
                _write(row, _judge(row.experiment_id, chunk, report), author)
                row.rows_done = report.rows
                row.save(update_fields=["rows_done"])
        settle_labels()
        row.status, row.applied_at = Status.APPLIED, timezone.now()
        _path(row).unlink(missing_ok=True)
    except (UnreadableFile, Refused) as problem:
        row.status, row.error = Status.FAILED, str(problem)
    row.save(update_fields=["status", "error", "applied_at"])
    return row


def _write(row: LabelImport, judged: Iterable[_Judged], author: Author) -> None:
    fresh: list[NewLabel] = []
    for one in judged:
        if one.verdict == "new":
            facts = one.record.facts(author)
            made = NewLabel(one.feature_id, one.record.draft, one.record.is_current, one.record.created_at, facts)
            fresh.append(made)
        elif one.label is not None and (
            one.verdict == "changed" or (one.verdict == "conflicting" and row.take_conflicting)
        ):
            edit_label(one.feature_id, one.label.pk, one.record.draft, author)
    add_labels(fresh, author)


def _records(row: LabelImport, report: ImportReport) -> Iterator[LabelRecord]:
    """The usable rows of the file; the others are counted and told."""
    for cells in FORMATS[row.format].read(_path(row), LABEL_COLUMNS):
        report.rows += 1
        record = _record(cells, report)
        if record is not None:
            yield record


def _record(cells: Row, report: ImportReport) -> LabelRecord | None:
    try:
        return LabelRecord.of(cells)
    except Refused as refusal:
        report.refused += 1
        report.tell(f"Row {report.rows:,}: {refusal.message}")
        return None


def _chunks(records: Iterator[LabelRecord]) -> Iterator[list[LabelRecord]]:
    while chunk := list(islice(records, ROWS_AT_ONCE)):
        yield chunk


def _judge(experiment_id: int, records: Sequence[LabelRecord], report: ImportReport) -> list[_Judged]:
    """What each row is, in three queries. Rows of features that do not exist are counted as unknown."""
    wanted = {record.feature for record in records}
    features = dict(Feature.objects.filter(experiment=experiment_id, index__in=wanted).values_list("index", "pk"))
    here = LabelsHere(Label.objects.filter(feature__in=features.values()).prefetch_related("tags"))
    judged: list[_Judged] = []
    for record in records:
        feature_id = features.get(record.feature)
        if feature_id is None:
            report.unknown += 1
            report.tell(f"This experiment has no feature {record.feature:,} (label “{record.draft.text[:60]}”).")
            continue
        label = here.same_as(record, feature_id)
        judged.append(_Judged(record.verdict(label), record, feature_id, label))
    return judged


def _path(row: LabelImport) -> Path:
    return Path(settings.LABEL_IMPORTS_DIR) / row.file


def _store(handle: Any, chunks: Iterable[bytes]) -> None:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST_IMPORT_BYTES:
            raise TooLarge(f"The file has more than {LARGEST_IMPORT_BYTES // 2**20} MiB, which is the limit.")
        handle.write(chunk)
    if size == 0:
        raise refused_field("file", "The file is empty: choose one with at least a line of labels.")
