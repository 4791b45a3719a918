"""Files to download, sent in pieces under any server: under ASGI Django reads an ordinary file response whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import IO

from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest, StreamingHttpResponse

PIECE_BYTES = 2**16


def download(request: HttpRequest, file: IO[bytes], filename: str, media_type: str) -> StreamingHttpResponse:
    """Sends an open file, at its beginning, as an attachment, and closes it. `filename` is ours, never a user's."""
    if not isinstance(request, ASGIRequest):
        return FileResponse(file, as_attachment=True, filename=filename, content_type=media_type)
    response = StreamingHttpResponse(_pieces(file), content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
