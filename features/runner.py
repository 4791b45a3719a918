"""What workers do with labels (files of them, machine labels, transfers, which alone need torch) and maps."""

from __future__ import annotations

from features.models import FeatureMap, LabelImport, MachineLabelling
from features.services.feature_map.making import make
from features.services.label_files import apply_import, check_import
from features.services.label_transfer import transfer_features
from features.services.machine_labels import label_features

Status = LabelImport.Status


def check(import_id: int) -> None:
    """Reads a file and keeps its report. One that was deleted or checked before is left alone."""
    row = LabelImport.objects.select_related("user").filter(pk=import_id, status=Status.CHECKING).first()
    if row is not None:
        check_import(row)


def apply(import_id: int) -> None:
    """Writes what a file holds. Coming twice does no harm: what is written is recognised."""
    row = LabelImport.objects.select_related("user").filter(pk=import_id, status=Status.APPLYING).first()
    if row is not None:
        apply_import(row)


def label(labelling_id: int) -> None:
    """Labels the features that are left. One that was cancelled or has ended is left alone."""
    row = MachineLabelling.objects.select_related("user").filter(pk=labelling_id).first()
    if row is not None and row.is_live:
        label_features(row)


def transfer(labelling_id: int) -> None:
    """Takes labels over from another experiment; needs torch, for the decoders of both."""
    row = MachineLabelling.objects.select_related("user", "source").filter(pk=labelling_id).first()
    if row is not None and row.is_live:
        transfer_features(row)


def place_features(map_id: int) -> None:
    """Makes a map. One that is gone or has ended is left alone."""
    row = FeatureMap.objects.filter(pk=map_id).first()
    if row is not None and row.is_live:
        make(row)
