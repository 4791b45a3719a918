"""Asking a model hub: commits, model files with progress, and one sentence for everything that can go wrong.

A model is pinned to the commit that its name stood for when it was first asked. Only safetensors, JSON and tokenizer
files are fetched, never a pickle. What is in the local cache is used when the hub cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from threading import Event, Thread
from typing import Any, Literal, TypeVar

from huggingface_hub import CacheNotFound, HfApi, scan_cache_dir, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from tqdm.auto import tqdm

from experiments.engine.model_card import ModelCard, ModelCardError, Weights, read_model_card
from experiments.engine.records import Progress

Answer = TypeVar("Answer")

CONNECT_SECONDS = 5.0
REPORT_SECONDS = 0.5
RETRY_AFTER_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
BUSY_STATUSES = {408, 429, 500, 502, 503, 504}
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
CONFIG_FILES = ("config.json", "tokenizer_config.json")
TOKENIZER_FILES = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")  # a chat template is a .jinja
MODEL_FILES = (*WEIGHT_FILES, *TOKENIZER_FILES)
# The hub client has been built on several HTTP libraries; they all name a broken connection by one of these.
CONNECTION_ERRORS = {"TransportError", "ConnectionError", "Timeout", "TimeoutError"}


class HubError(ValueError):
    """The hub cannot give what was asked for; the message is one sentence that says what to do."""


class HubUnreachableError(HubError):
    """There is no connection to the hub."""


@dataclass(frozen=True)
class HubModel:
    """A model on this machine: its folder, and the commit that it is."""

    folder: Path
    commit: str


@dataclass(frozen=True)
class HubModelCard:
    """What is known of a model on the hub without fetching its weights, and the commit it was read from."""

    card: ModelCard
    commit: str


def fetch_model(hub_id: str, revision: str | None = None) -> Generator[Progress, None, HubModel]:
    """Brings a model into the hub client's cache (HF_HOME) and yields Progress in bytes; returns where it is.

    `revision` is a commit, branch or tag, by default the main branch. Closing the generator stops the download; the
    next one goes on from there. Raises HubError.
    """
    download = _Download(hub_id, revision)
    download.start()
    try:
        while not download.has_ended(REPORT_SECONDS):
            yield Progress("capture", download.bytes_done, download.bytes_total, note=f"downloading {hub_id}")
    finally:
        download.stopped.set()
    return download.result()


def fetch_tokenizer(hub_id: str, revision: str | None = None) -> HubModel:
    """As `fetch_model`, without the weights, which nobody needs to see tokens. Raises HubError."""
    try:
        info = patiently(lambda: _model_info(hub_id, revision), hub_id)
    except HubUnreachableError:
        cached = _cached_snapshot(hub_id, revision)
        if cached is None:
            raise
        return HubModel(cached, cached.name)
    commit, silent = str(info.sha), _counter_class([], Event())
    return HubModel(patiently(lambda: _snapshot(hub_id, commit, TOKENIZER_FILES, silent), hub_id), commit)


def describe_model(hub_id: str, revision: str | None = None) -> HubModelCard:
    """Reads the card of a model on the hub from its config and the sizes of its files. Raises HubError."""
    try:
        info = patiently(lambda: _model_info(hub_id, revision), hub_id)
    except HubUnreachableError:
        cached = _cached_snapshot(hub_id, revision)
        if cached is None:
            raise
        return HubModelCard(_card(cached, hub_id, None), cached.name)
    _check_weights(info, hub_id)
    weights = Weights(info.safetensors.total if info.safetensors else None, _size_of(info, WEIGHT_FILES))
    commit = str(info.sha)
    silent = _counter_class([], Event())
    folder = patiently(lambda: _snapshot(hub_id, commit, CONFIG_FILES, silent), hub_id)
    return HubModelCard(_card(folder, hub_id, weights), commit)


def patiently(
    call: Callable[[], Answer],
    hub_id: str,
    kind: Literal["model", "data set"] = "model",
    *,
    stopped: Event | None = None,
    through_broken_connections: bool = False,
) -> Answer:
    """Calls the hub, and again after a while when it is busy. Raises HubError for everything else.

    Without `through_broken_connections` a machine that is offline is told at once.
    """
    stopped = stopped or Event()
    for seconds in (*RETRY_AFTER_SECONDS, None):
        try:
            return call()
        except Exception as error:  # of any HTTP library; every one becomes a sentence
            retry = _is_busy(error) or (through_broken_connections and _is_connection_error(error))
            if not retry or seconds is None or stopped.wait(seconds):
                fallback = HubError(f"“{hub_id}” could not be fetched from the hub ({type(error).__name__}).")
                raise known_reason(error, hub_id, kind) or fallback from error
    raise AssertionError("the last attempt returns or raises")


def known_reason(error: BaseException, hub_id: str, kind: str) -> HubError | None:
    """The sentence for what the hub's client raised, or None when it is nothing the hub is known to do."""
    if isinstance(error, HubError):
        return error
    causes = list(_causes(error))
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return HubError(f"“{hub_id}” is gated: accept its terms on the hub, then set HF_TOKEN to your token.")
    if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
        return HubError(f"“{hub_id}” has no such revision on the hub; give a branch, a tag or a commit, or none.")
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return HubError(f"The hub has no {kind} “{hub_id}”, or it is private; check the name.")
    if status := _status(error):
        return HubError(f"The hub answered with error {status} for “{hub_id}”; try again later.")
    if _is_connection_error(error):
        instead = "upload the text as a file" if kind == "data set" else "put the model in a folder under MODELS_DIR"
        return HubUnreachableError(f"The hub cannot be reached; offline? Then {instead} and choose it there.")
    return None


class _StoppedError(Exception):
    """Ends a download whose result nobody waits for any more."""


class _Download(Thread):
    """A download in a thread of its own; the byte counts may be read from any other."""

    def __init__(self, hub_id: str, revision: str | None) -> None:
        super().__init__(name=f"download {hub_id}", daemon=True)
        self.stopped = Event()
        self.bytes_total = 0
        self._hub_id, self._revision = hub_id, revision
        self._counters: list[Any] = []
        self._outcome: HubModel | Exception | None = None

    @property
    def bytes_done(self) -> int:
        # Some versions of the client count the same bytes in two bars, as received and as written.
        return int(max((counter.n for counter in self._counters), default=0))

    def run(self) -> None:
        try:
            self._outcome = self._fetch(self._hub_id, self._revision)
        except Exception as error:  # raised again by `result`, in the thread that waits
            self._outcome = error

    def has_ended(self, seconds: float) -> bool:
        """Waits at most `seconds` for the end."""
        self.join(seconds)
        return not self.is_alive()

    def result(self) -> HubModel:
        if isinstance(self._outcome, HubModel):
            return self._outcome
        raise self._outcome or _StoppedError

    def _fetch(self, hub_id: str, revision: str | None) -> HubModel:
        cached = _cached_snapshot(hub_id, revision)
        if cached is not None and cached.name == revision:
            return HubModel(cached, revision)  # a commit never changes, so there is nothing to ask
        try:
            info = patiently(lambda: _model_info(hub_id, revision), hub_id, stopped=self.stopped)
        except HubUnreachableError:
            if cached is None:
                raise
            return HubModel(cached, cached.name)
        commit = str(info.sha)
        _check_weights(info, hub_id)
        self.bytes_total = _size_of(info, MODEL_FILES)
        folder = patiently(
            lambda: _snapshot(hub_id, commit, MODEL_FILES, _counter_class(self._counters, self.stopped)),
            hub_id,
            stopped=self.stopped,
            through_broken_connections=True,
        )
        return HubModel(folder, commit)


def _counter_class(counters: list[Any], stopped: Event) -> type[Any]:
    """A progress bar that shows nothing, counts bytes among `counters`, and ends the download when it was stopped."""

    class Counter(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})
            if options.get("unit") == "B":
                counters.append(self)

        def update(self, n: float | None = 1) -> None:
            if stopped.is_set():
                raise _StoppedError
            self.n += n or 0

    return Counter


def _model_info(hub_id: str, revision: str | None) -> ModelInfo:
    return HfApi().model_info(hub_id, revision=revision, files_metadata=True, timeout=CONNECT_SECONDS)


def _check_weights(info: ModelInfo, hub_id: str) -> None:
    if not _files_of(info, WEIGHT_FILES):
        raise HubError(f"“{hub_id}” has no safetensors weights on the hub, and pickled weights are never opened.")


def _size_of(info: ModelInfo, patterns: Sequence[str]) -> int:
    return sum(file.size or 0 for file in _files_of(info, patterns))


def _files_of(info: ModelInfo, patterns: Sequence[str]) -> list[RepoSibling]:
    """The files of a repository that match; those in subfolders are other formats of the same model."""
    files = [file for file in info.siblings or () if "/" not in file.rfilename]
    return [file for file in files if any(fnmatch(file.rfilename, pattern) for pattern in patterns)]


def _snapshot(hub_id: str, commit: str, patterns: Sequence[str], bar: type[Any]) -> Path:
    # "*" also matches "/" in the client's patterns, so subfolders have to be left out by a pattern of their own.
    folder = snapshot_download(
        hub_id,
        revision=commit,
        allow_patterns=list(patterns),
        ignore_patterns=["*/*"],
        tqdm_class=bar,
    )
    return Path(folder)


def _cached_snapshot(hub_id: str, revision: str | None) -> Path | None:
    """A whole copy of the model from an earlier download, the newest one if no `revision` is asked for, or None."""
    try:
        copies = next(repo for repo in scan_cache_dir().repos if repo.repo_id == hub_id).revisions
    except (CacheNotFound, StopIteration):
        return None
    for copy in sorted(copies, key=lambda copy: copy.last_modified, reverse=True):
        if revision is None or revision == copy.commit_hash or revision in copy.refs:
            with suppress(ModelCardError):
                read_model_card(copy.snapshot_path)
                return copy.snapshot_path
    return None


def _card(folder: Path, hub_id: str, weights: Weights | None) -> ModelCard:
    try:
        return read_model_card(folder, hub_id, weights)
    except ModelCardError as error:
        raise HubError(str(error)) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status that is the reason of `error`, if one is."""
    answers = (cause.response for cause in _causes(error) if isinstance(cause, HfHubHTTPError))
    return next((answer.status_code for answer in answers if answer is not None), None)


def _is_busy(error: BaseException) -> bool:
    return _status(error) in BUSY_STATUSES


def _is_connection_error(error: BaseException) -> bool:
    return any(kind.__name__ in CONNECTION_ERRORS for cause in _causes(error) for kind in type(cause).__mro__)
