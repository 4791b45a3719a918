"""A model's tokenizer as the engine uses it: text is always text, and special tokens are put in by position.

A text that spells a special token (`</s>`, `[MASK]`) is encoded as the characters it has. So the only special tokens
are those that the frame puts around documents and windows, and they can be left out by position, never by id.

Conversations are the exception: the model's own chat template writes special tokens between the messages, and these are
to be the model's. They are encoded as such and marked, and a message whose content spells one gets an invisible word
joiner into that spelling, so that no content can pass for a part of the template.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from experiments.engine.block_list import ModelRefused
from experiments.engine.conversations import Messages
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.model_card import Kind
from experiments.engine.token_texts import decoder_kinds, token_text
from experiments.engine.windows import Frame

WORD_JOINER = "\u2060"
# Some templates write today's date; windows must be the same tomorrow.
FIXED_DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"


@dataclass(frozen=True)
class EncodedText:
    """The tokens of one text without special tokens, and the characters [start, stop) that each one covers."""

    ids: NDArray[np.int32]  # [tokens]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class EncodedConversation:
    """The tokens of one conversation as its template writes it, and which of them are the template's special ones."""

    ids: NDArray[np.int32]  # [tokens]
    special: NDArray[np.bool_]  # [tokens]


class TextTokenizer:
    """Encodes documents and prompts for one model and knows the readable text of every token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, kind: Kind) -> None:
        self._tokenizer = tokenizer
        self._backend: Any = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self.frame = _frame_of(tokenizer, self._backend, kind)

    @property
    def fingerprint(self) -> str:
        """A hash that is equal exactly when two tokenizers turn texts into the same tokens in the same frame."""
        rules = self._backend.to_str() + json.dumps(asdict(self.frame))
        return hashlib.sha256(rules.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The token ids of each text, [tokens] each, without special tokens."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[EncodedText]:
        """The tokens of each text with the characters they cover; slower than `encode`."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [EncodedText(np.array(encoding.ids, dtype=np.int32), encoding.offsets) for encoding in encodings]

    def check_chat_template(self) -> None:
        """Raises ModelRefused when the model has no template for conversations."""
        if not self._tokenizer.chat_template:
            raise ModelRefused(
                "This model has no chat template, so it cannot read conversations; choose a chat model, or a column "
                "of plain text."
            )

    @property
    def chat_fingerprint(self) -> str:
        """A hash of the chat template."""
        return hashlib.sha256(json.dumps(self._tokenizer.chat_template).encode()).hexdigest()

    def encode_conversations(self, conversations: Sequence[Messages]) -> list[EncodedConversation]:
        """The tokens of each conversation in the model's chat template, without the opening that every window has.

        Raises CorpusError when the template refuses a conversation.
        """
        encodings = self._chat_backend.encode_batch_fast(
            [self._written_out(messages) for messages in conversations], add_special_tokens=False
        )
        return [self._without_opening(np.array(encoding.ids, dtype=np.int32)) for encoding in encodings]

    @cached_property
    def _chat_backend(self) -> Any:
        """As the backend, but what spells a special token is one."""
        backend = type(self._backend).from_str(self._backend.to_str())
        backend.encode_special_tokens = False
        return backend

    @cached_property
    def _special(self) -> dict[int, str]:
        added = self._backend.get_added_tokens_decoder()
        return {number: token.content for number, token in added.items() if token.special}

    @cached_property
    def _spelled(self) -> re.Pattern[str]:
        longest_first = sorted(self._special.values(), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def _written_out(self, messages: Messages) -> str:
        harmless = [
            message | {"content": self._spelled.sub(lambda found: _broken_up(found[0]), message["content"])}
            for message in messages
        ]
        try:
            template = FIXED_DATE + self._tokenizer.get_chat_template()
            text = self._tokenizer.apply_chat_template(harmless, chat_template=template, tokenize=False)
        except Exception as error:  # templates are programs of strangers, which refuse in any way they like
            raise CorpusError(f"The model's chat template cannot write out a conversation ({error}).") from error
        return str(text)

    def _without_opening(self, ids: NDArray[np.int32]) -> EncodedConversation:
        opening = self.frame.opening
        if opening and tuple(ids[: len(opening)].tolist()) == opening:
            ids = ids[len(opening) :]
        return EncodedConversation(ids, np.isin(ids, list(self._special)))

    def token_texts(self, size: int) -> list[str]:
        """Readable text for the token ids 0 to `size` - 1; ids that the tokenizer does not know are shown as [id]."""
        texts = [f"[{token}]" for token in range(size)]
        kinds = decoder_kinds(json.loads(self._backend.to_str())["decoder"])
        added = self._backend.get_added_tokens_decoder()
        for token, number in self._backend.get_vocab(with_added_tokens=True).items():
            if number < size:
                texts[number] = added[number].content if number in added else token_text(token, kinds)
        return texts


def _broken_up(spelling: str) -> str:
    return spelling[:1] + WORD_JOINER + spelling[1:]


def load_tokenizer(folder: Path, name: str, kind: Kind) -> TextTokenizer:
    """Loads the fast tokenizer in a model's folder.

    Raises ModelRefused when there is none, or when it needs code that is not part of transformers.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a foreign file makes the library raise, the person gets one sentence
        raise ModelRefused(f"The tokenizer of {name} cannot be loaded; a tokenizer.json is expected.") from error
    if not tokenizer.is_fast or len(tokenizer) < 2:
        raise ModelRefused(f"{name} has no fast tokenizer; a tokenizer.json is expected beside its config.json.")
    return TextTokenizer(tokenizer, kind)


def _frame_of(tokenizer: PreTrainedTokenizerBase, backend: Any, kind: Kind) -> Frame:
    """What the tokenizer itself puts around a text; a causal model that gets nothing has its documents set apart by
    the token that its family trained with, the beginning or else the end of text."""
    trial = backend.encode("a", add_special_tokens=True)
    text_positions = [position for position, special in enumerate(trial.special_tokens_mask) if not special]
    text_positions = text_positions or [len(trial.ids)]  # a vocabulary without the letter a
    before = tuple(trial.ids[: text_positions[0]])
    after = tuple(trial.ids[text_positions[-1] + 1 :])
    if kind == "encoder":
        return Frame(opening=before, between=after, closing=after)
    boundaries = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    opening = before or tuple(token for token in boundaries if token is not None)[:1]
    return Frame(opening=opening, between=after + opening, closing=())
