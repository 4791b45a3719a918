"""Readable text for every token id, so that a window of tokens can be shown as the text it is.

Three kinds of vocabulary exist in practice, told apart by the tokenizer's own decoder: byte-level (GPT-2: every
character stands for one byte), SentencePiece (`▁` is a space, `<0xE2>` a byte) and WordPiece (`##` continues a word).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
CLOSING_PUNCTUATION = frozenset(".,;:!?)]}%’”…'\"")


def decoder_kinds(decoder: dict[str, Any] | None) -> set[str]:
    """The types in the `decoder` entry of a tokenizer.json, such as {"ByteLevel"} or {"Replace", "ByteFallback"}."""
    if decoder is None:
        return set()
    return {str(decoder.get("type"))}.union(*(decoder_kinds(part) for part in decoder.get("decoders", [])))


def token_text(token: str, kinds: set[str]) -> str:
    """What `token`, an entry of a vocabulary whose decoder has these `kinds`, stands for.

    Spaces, line ends and tabs are kept; bytes that are no whole character, and characters that cannot be seen, are
    written as ⟨E2⟩, their number in hexadecimal.
    """
    if "ByteLevel" in kinds:
        return _visible(_bytes_of(token).decode("utf-8", errors=_BYTES_IN_BRACKETS))
    if "WordPiece" in kinds:
        return _visible(_word_piece_text(token))
    if byte := BYTE_TOKEN.fullmatch(token):
        return _visible(bytes.fromhex(byte[1]).decode("utf-8", errors=_BYTES_IN_BRACKETS))
    return _visible(token.replace("▁", " "))


def _word_piece_text(token: str) -> str:
    if token.startswith("##"):
        return token[2:]
    return token if token in CLOSING_PUNCTUATION else f" {token}"


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\t\n" else f"⟨{ord(char):02X}⟩" for char in text)


def _bytes_of(token: str) -> bytes:
    return b"".join(_BYTE_OF[char] if char in _BYTE_OF else char.encode() for char in token)


def _byte_alphabet() -> Iterator[tuple[str, bytes]]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for the characters from 256 on."""
    following = 256
    for byte in range(256):
        if 33 <= byte <= 126 or (byte >= 161 and byte != 173):
            yield chr(byte), bytes([byte])
        else:
            yield chr(following), bytes([byte])
            following += 1


def _bytes_in_brackets(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"⟨{byte:02X}⟩" for byte in error.object[error.start : error.end]), error.end


_BYTE_OF = dict(_byte_alphabet())
_BYTES_IN_BRACKETS = "latentlens.bytes-in-brackets"
codecs.register_error(_BYTES_IN_BRACKETS, _bytes_in_brackets)
