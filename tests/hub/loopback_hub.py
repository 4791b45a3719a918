"""A model hub on the loopback interface, good enough for the real clients: its repositories are folders.

Every repository is a folder `models/ORG/NAME` or `datasets/ORG/NAME` under a root; its one commit is a hash of what it
holds. The real `huggingface_hub`, `transformers` and `datasets` reach it through the variable HF_ENDPOINT.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

CHUNK_BYTES = 64 * 1024
API = re.compile(r"/api/(models|datasets)/(?P<id>[^/]+/[^/]+|[^/]+?)(?P<rest>/(revision|tree|paths-info|refs)(/.*)?)?$")
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")


@dataclass
class Fault:
    """Answers `status` to the next `times` requests whose path contains `part`."""

    part: str
    status: int
    times: int


@dataclass
class LoopbackHub:
    """The repositories under `root`; `url` is what HF_ENDPOINT must be."""

    root: Path
    gated: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seconds_per_chunk: float = 0.0  # a slow line: the pause before every 64 KiB of an answer
    url: str = ""

    def fail_next(self, part: str, status: int = 503, times: int = 1) -> None:
        self.faults.append(Fault(part, status, times))

    def repository(self, kind: str, name: str) -> Path | None:
        folder = self.root / kind / name
        return folder if folder.is_dir() else None

    def commit(self, folder: Path) -> str:
        digest = hashlib.sha1()
        for path in files_of(folder):
            digest.update(path.encode() + (folder / path).read_bytes())
        return digest.hexdigest()

    def take_fault(self, path: str) -> int | None:
        for fault in self.faults:
            if fault.times and fault.part in path:
                fault.times -= 1
                return fault.status
        return None


@contextmanager
def running(hub: LoopbackHub) -> Iterator[LoopbackHub]:
    """Serves `hub` on a free port while open."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def blob_of(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Silence: the test that fails prints `hub.requests` instead."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if status := self.hub.take_fault(path):
            return self._error(status, "", "out of order")
        if match := API.fullmatch(path):
            return self._api(match[1], match["id"], (match["rest"] or "").strip("/"), body)
        if match := FILE.fullmatch(path):
            return self._file("datasets" if match["kind"] else "models", match["id"], match["revision"], match["path"])
        return self._error(404, "RepoNotFound", "no such page")

    def _open(self, kind: str, name: str, revision: str) -> tuple[Path, str] | None:
        """The folder and commit of a repository, or None after an error was answered."""
        folder = self.hub.repository(kind, name)
        if folder is None:
            self._error(401, "RepoNotFound", "Repository not found")
        elif name in self.hub.gated:
            self._error(403, "GatedRepo", "Access to this repository is restricted")
        elif revision not in ("main", commit := self.hub.commit(folder)):
            self._error(404, "RevisionNotFound", "Invalid rev id")
        else:
            return folder, commit
        return None

    def _api(self, kind: str, name: str, rest: str, body: bytes) -> None:
        what, _, tail = rest.partition("/")
        revision, _, inside = tail.partition("/")
        opened = self._open(kind, name, revision or "main")
        if opened is None:
            return
        folder, commit = opened
        if what in ("", "revision"):
            self._json(_repository_card(kind, name, folder, commit))
        elif what == "tree":
            self._json(_listing(folder, inside, recursive="recursive=true" in self.path.lower()))
        elif what == "paths-info":
            self._json([entry for entry in _entries(folder) if entry["path"] in _asked_paths(body)])
        else:
            self._json({"branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": commit}], "tags": []})

    def _file(self, kind: str, name: str, revision: str, inside: str) -> None:
        opened = self._open(kind, name, revision)
        if opened is None:
            return
        folder, commit = opened
        path = folder / inside
        if inside not in files_of(folder):
            self._error(404, "EntryNotFound", "Entry not found", commit=commit)
            return
        content, status, span = path.read_bytes(), 200, self.headers.get("Range")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob_of(path)}"', "Accept-Ranges": "bytes"}
        if span:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", span).groups()  # type: ignore[union-attr]
            stop = min(int(last or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{stop}/{len(content)}"
            content, status = content[int(first) : stop + 1], 206
        self._send(status, content, "application/octet-stream", headers)

    def _json(self, document: Any) -> None:
        self._send(200, json.dumps(document).encode(), "application/json", {})

    def _error(self, status: int, code: str, message: str, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
        body = json.dumps({"error": message}).encode()
        self._send(status, body, "application/json", {key: value for key, value in headers.items() if value})

    def _send(self, status: int, content: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self._write(content)

    def _write(self, content: bytes) -> None:
        try:
            for start in range(0, len(content), CHUNK_BYTES):
                time.sleep(self.hub.seconds_per_chunk)
                self.wfile.write(content[start : start + CHUNK_BYTES])
        except ConnectionError:
            self.close_connection = True  # the client has hung up


def _entries(folder: Path) -> list[dict[str, Any]]:
    return [
        {"type": "file", "path": path, "size": (folder / path).stat().st_size, "oid": blob_of(folder / path)}
        for path in files_of(folder)
    ]


def _listing(folder: Path, inside: str, *, recursive: bool) -> list[dict[str, Any]]:
    """The files under `inside`; without `recursive` only the direct ones, and the folders beside them."""
    start = folder / inside
    files = [entry for entry in _entries(folder) if (folder / entry["path"]).is_relative_to(start)]
    if recursive:
        return files
    folders = [path for path in sorted(start.iterdir()) if path.is_dir()] if start.is_dir() else []
    listed = [{"type": "directory", "path": str(path.relative_to(folder)), "size": 0, "oid": "0"} for path in folders]
    return [entry for entry in files if (folder / entry["path"]).parent == start] + listed


def _asked_paths(body: bytes) -> list[str]:
    asked = json.loads(body or b"{}").get("paths", [])
    return asked if isinstance(asked, list) else [asked]


def _repository_card(kind: str, name: str, folder: Path, commit: str) -> dict[str, Any]:
    siblings = [
        {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]} for entry in _entries(folder)
    ]
    return {
        "_id": "0" * 24,
        "id": name,
        "author": name.split("/")[0],
        "sha": commit,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
        "lastModified": "2024-01-01T00:00:00.000Z",
        "createdAt": "2024-01-01T00:00:00.000Z",
        **({"modelId": name} if kind == "models" else {}),
    }
