"""The first windows of a corpus as a model would read them, before any compute is spent on it."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from experiments.engine.config import ExperimentConfig
from experiments.engine.corpus import recipe_for
from experiments.engine.corpus_errors import CorpusError
from experiments.engine.document_sources import SourceDocument
from experiments.engine.duplicates import DistinctSource, SeenDocuments
from experiments.engine.text_tokenizer import TextTokenizer
from experiments.engine.window_making import Recipe, encode, writer_for
from experiments.engine.windows import NO_DOCUMENT, DocumentTokens, Windows, read_windows

PREVIEW_WINDOWS = 3
IN_MEMORY = Path(":memory:")
SAMPLE_CHARACTERS = 200_000  # enough for tokens per character to two digits, read in a second


@dataclass(frozen=True)
class PreviewToken:
    """One token of a window; `begins` where it is the first of its document in the window."""

    text: str
    special: bool
    padding: bool
    begins: bool


@dataclass(frozen=True)
class TokenPreview:
    """Windows as they would be trained on, and what was sampled to count the tokens of the whole corpus."""

    windows: tuple[tuple[PreviewToken, ...], ...]
    sampled_documents: int
    sampled_characters: int
    sampled_tokens: int

    @property
    def tokens_per_character(self) -> float:
        return self.sampled_tokens / self.sampled_characters


def preview_tokens(config: ExperimentConfig, tokenizer: TextTokenizer, corpus_path: Path | None) -> TokenPreview:
    """Reads the beginning of the corpus of `config`. Raises as `prepare_windows`, and for less than one window."""
    recipe = recipe_for(config, tokenizer, corpus_path)
    sample = _sample(recipe)
    encoded = list(encode(sample, recipe)) if sample else []
    # What is held out is shown only where nothing else is there.
    shown = [tokens for document, tokens in encoded if not document.held_out] or [tokens for _, tokens in encoded]
    total = sum(len(tokens.tokens) for _, tokens in encoded)
    windows = _first_windows(shown, recipe)
    if not len(windows):
        raise CorpusError(
            f"The corpus holds {total:,} tokens, which is less than one window of {config.context_length:,}."
        )
    characters = sum(len(document.text) for document in sample)
    return TokenPreview(_readable(windows, tokenizer), len(sample), characters, total)


def _sample(recipe: Recipe) -> list[SourceDocument]:
    sample: list[SourceDocument] = []
    left = SAMPLE_CHARACTERS

    def is_wanted(held_out: bool) -> bool:
        return left > 0

    with closing(SeenDocuments(IN_MEMORY)) as seen:
        source = DistinctSource(recipe.source, seen) if recipe.deduplicate else recipe.source
        for document in source.documents(is_wanted):
            sample.append(document)
            left -= len(document.text)
    return sample


def _first_windows(documents: list[DocumentTokens], recipe: Recipe) -> Windows:
    with tempfile.TemporaryDirectory() as folder:
        with closing(writer_for(recipe, Path(folder), concept_bytes=0)) as writer:
            for tokens in documents:
                if writer.windows >= PREVIEW_WINDOWS:
                    break
                writer.add(DocumentTokens(tokens.document, tokens.tokens, special=tokens.special))
        first = read_windows(Path(folder))[:PREVIEW_WINDOWS]
        return Windows(first.tokens.copy(), first.documents.copy(), first.special.copy())


def _readable(windows: Windows, tokenizer: TextTokenizer) -> tuple[tuple[PreviewToken, ...], ...]:
    texts = tokenizer.token_texts(int(windows.tokens.max()) + 1)
    shown = []
    for tokens, documents, special in zip(windows.tokens, windows.documents, windows.special, strict=True):
        before = [None, *documents[:-1].tolist()]
        shown.append(
            tuple(
                PreviewToken(texts[token], is_special, document == NO_DOCUMENT, document not in (previous, NO_DOCUMENT))
                for token, document, is_special, previous in zip(
                    tokens.tolist(), documents.tolist(), special.tolist(), before, strict=True
                )
            )
        )
    return tuple(shown)
