"""Conversations as documents: a row's list of messages, kept as one line of JSON until a tokenizer writes them out.

The line depends on roles and contents alone, so equal conversations are equal documents. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from experiments.engine.corpus_errors import CorpusError

MESSAGES_COLUMN = "messages"
Messages: TypeAlias = list[dict[str, str]]


def conversation_text(value: Any, place: str) -> str:
    """The messages of a row as a line of JSON, blank where it has none. Raises CorpusError for anything else."""
    if value is None or value == []:
        return ""
    if not isinstance(value, list) or not all(_is_message(message) for message in value):
        raise CorpusError(f"{place} holds no conversation, which is a list of messages that have a role and a content.")
    messages = [{"role": message["role"], "content": message.get("content") or ""} for message in value]
    return json.dumps(messages, ensure_ascii=False)


def messages_of(text: str) -> Messages:
    """The inverse of `conversation_text`."""
    messages: Messages = json.loads(text)
    return messages


def _is_message(message: Any) -> bool:
    """A message of a tool may have no content."""
    return (
        isinstance(message, Mapping)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), str | None)
    )
