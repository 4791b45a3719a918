"""Bodies of text: the built-in one, uploaded files, and data sets on the hub."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.core import signing

from experiments.engine.config import SAFE_NAME, CorpusConfig
from experiments.engine.corpus_errors import CorpusError, MissingColumn
from experiments.engine.documents import ending_of, inspect_upload, text_column
from experiments.models import Corpus
from experiments.services.folders import upload_path
from experiments.services.uploads import KEPT_SECONDS, UploadedBytes, store_bytes
from latentlens.lib.problems import Refused, refused_field
from latentlens.lib.text import clean_name


@dataclass(frozen=True)
class KeptUpload:
    """A file that is stored but not (yet) a corpus. It survives a form that has to be sent again, as signed text."""

    file: str
    name: str

    def signed(self) -> str:
        return signing.dumps([self.file, self.name], salt="kept-upload", compress=True)

    @classmethod
    def from_signed(cls, text: str) -> KeptUpload:
        """Raises Refused when the text was not signed here, or its file has gone."""
        try:
            kept = cls(*signing.loads(text, salt="kept-upload", max_age=KEPT_SECONDS))
        except (signing.BadSignature, TypeError, ValueError):
            raise refused_field("file", "The uploaded file is no longer here: choose it again.") from None
        if not upload_path(kept.file).is_file():
            raise refused_field("file", "The uploaded file is no longer here: choose it again.")
        return kept


def builtin_corpus() -> Corpus:
    """The row of the corpus that ships with the product."""
    corpus, _ = Corpus.objects.get_or_create(source=Corpus.Source.BUILTIN, defaults={"name": "Built-in corpus"})
    return corpus


def keep_upload(file: UploadedBytes) -> KeptUpload:
    """Stores the bytes under their hash, in the uploads folder. Raises Refused (or TooLarge) and then keeps nothing."""
    name = clean_name(Path(file.name or "").name or "upload", field="file")
    try:
        ending = ending_of(Path(name))
    except CorpusError as error:
        raise refused_field("file", str(error)) from None
    uploads = Path(settings.UPLOADS_DIR)
    uploads.mkdir(parents=True, exist_ok=True)
    _sweep(uploads)
    handle, partial = tempfile.mkstemp(dir=uploads, prefix=".upload-", suffix=ending)
    try:
        os.close(handle)
        digest = store_bytes(file, Path(partial))
        Path(partial).replace(uploads / f"{digest}{ending}")
    finally:
        Path(partial).unlink(missing_ok=True)
    return KeptUpload(f"{digest}{ending}", name)


def add_kept_upload(kept: KeptUpload, name: str = "", column: str = "", *, chat: bool = False) -> Corpus:
    """Makes a corpus of a stored file, read once from end to end. Raises Refused with the field that is to blame."""
    title = clean_name(name or kept.name, field="name")
    path = upload_path(kept.file)
    wanted = clean_name(column, field="column") if column.strip() else None
    _check_column(path, wanted, chat)
    try:
        report = inspect_upload(path, wanted, chat=chat)
    except CorpusError as error:
        raise refused_field("file", str(error)) from error
    same = Corpus.objects.filter(
        source=Corpus.Source.UPLOAD,
        content_hash=report.sha256,
        column=report.column or "",
        chat_template=chat,
        name=title,
    ).first()
    return same or Corpus.objects.create(
        name=title,
        source=Corpus.Source.UPLOAD,
        file=kept.file,
        column=report.column or "",
        chat_template=chat,
        content_hash=report.sha256,
        size_bytes=path.stat().st_size,
        documents=report.documents,
        characters=report.characters,
    )


def add_upload(file: UploadedBytes, name: str = "", column: str = "", *, chat: bool = False) -> Corpus:
    """Stores an uploaded file and makes a corpus of it; a refused file is not kept."""
    kept = keep_upload(file)
    try:
        return add_kept_upload(kept, name, column, chat=chat)
    except Refused:
        forget_upload(kept)
        raise


def forget_upload(kept: KeptUpload) -> None:
    """Removes a stored file that no corpus reads."""
    if not Corpus.objects.filter(file=kept.file).exists():
        upload_path(kept.file).unlink(missing_ok=True)


def add_hub_corpus(
    hub_id: str, configuration: str = "", split: str = "", column: str = "", *, chat: bool = False
) -> Corpus:
    """The row of a data set on the hub; what it holds is found out by the worker that reads it."""
    parts = hub_id.strip().removeprefix("hub:").split("/")
    if len(parts) > 2 or not all(SAFE_NAME.match(part) and ".." not in part for part in parts):
        raise refused_field("corpus_hub_id", "A data set on the hub is called name or org/name (no path, no URL).")
    fields = {"configuration": configuration, "split": split or "train", "column": column}
    cleaned = {
        field: clean_name(text, field=field, maximum=100) if text.strip() else "" for field, text in fields.items()
    }
    name = " · ".join(["/".join(parts), *filter(None, (cleaned["configuration"], cleaned["split"]))])
    corpus, _ = Corpus.objects.get_or_create(
        source=Corpus.Source.HUB, hub_id="/".join(parts), chat_template=chat, **cleaned, defaults={"name": name[:200]}
    )
    return corpus


def corpus_by_reference(reference: int | str) -> Corpus:
    """The corpus with this id, or the built-in one for "builtin". Raises Refused."""
    text = str(reference).strip()
    if text == "builtin":
        return builtin_corpus()
    corpus = Corpus.objects.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 20 else None
    if corpus is None:
        raise refused_field("corpus", "There is no such corpus: use builtin or the id of one in the list of corpora.")
    return corpus


def corpus_config(corpus: Corpus) -> CorpusConfig:
    """The corpus as the engine knows it."""
    source: Literal["builtin", "upload", "hub"] = "builtin"
    if corpus.source != Corpus.Source.BUILTIN:
        source = "hub" if corpus.source == Corpus.Source.HUB else "upload"
    return CorpusConfig(
        source=source,
        name=corpus.hub_id or corpus.name,
        column=corpus.column or None,
        configuration=corpus.configuration or None,
        split=corpus.split or None,
        revision=corpus.revision or None,
        content_hash=corpus.content_hash or None,
        chat_template=corpus.chat_template,
    )


def _check_column(path: Path, column: str | None, chat: bool) -> None:
    """A table without the named column is refused at the column, so that the file need not come again."""
    try:
        text_column(path, column, chat=chat)
    except CorpusError as error:
        raise refused_field("column" if isinstance(error, MissingColumn) else "file", str(error)) from error


def _sweep(uploads: Path) -> None:
    """Removes stored files that never became a corpus, a day after they came."""
    old = {path.name: path for path in uploads.iterdir() if path.stat().st_mtime < time.time() - KEPT_SECONDS}
    for name in old.keys() - set(Corpus.objects.filter(file__in=old).values_list("file", flat=True)):
        old[name].unlink(missing_ok=True)
