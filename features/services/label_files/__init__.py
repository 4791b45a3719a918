"""Labels and features in files: CSV, JSON, JSONL, Parquet and HDF5, with the same columns in each."""

from features.services.label_files.columns import FEATURE_COLUMNS, LABEL_COLUMNS, Column
from features.services.label_files.exporting import CONTENTS, Export, export, export_labels
from features.services.label_files.formats import FORMATS, Format, format_named, format_of
from features.services.label_files.importing import (
    ImportReport,
    apply_import,
    ask_to_apply,
    check_import,
    discard_import,
    find_import,
    new_import,
    start_import,
)

__all__ = [
    "CONTENTS",
    "FEATURE_COLUMNS",
    "FORMATS",
    "LABEL_COLUMNS",
    "Column",
    "Export",
    "Format",
    "ImportReport",
    "apply_import",
    "ask_to_apply",
    "check_import",
    "discard_import",
    "export",
    "export_labels",
    "find_import",
    "format_named",
    "format_of",
    "new_import",
    "start_import",
]
