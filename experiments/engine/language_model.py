"""A language model as the engine sees it: hidden states at a layer and site, and logits with a site replaced.

Works for every causal model and encoder that transformers can load and whose blocks can be found; no table of families.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.engine.block_list import BlockList, ModelRefused, Tap, find_blocks
from experiments.engine.logit_lens import find_unembedding
from experiments.engine.model_card import Kind, ModelCard
from experiments.engine.residual_branches import Branches, find_branches
from experiments.engine.text_tokenizer import TextTokenizer

__all__ = ["LanguageModel", "ModelRefused", "Splice", "Tokens", "next_token_losses"]

Tokens: TypeAlias = Tensor | NDArray[np.integer[Any]]

# Enough tokens to tell tensors in a block apart, few enough to cost nothing on a large model.
TRIAL_TOKENS = 6


@dataclass(frozen=True)
class Splice:
    """Replaces the hidden states [batch, seq, width] at a site by `replace` of them, computed in float32.

    Where `where` [batch, seq] is given, positions at which it is False keep their own hidden state.
    """

    layer: int
    site: str
    replace: Callable[[Tensor], Tensor]
    where: Tensor | None = None

    def __call__(self, states: Tensor) -> Tensor:
        replaced = self.replace(states.float()).to(states.dtype)
        if self.where is None:
            return replaced
        return torch.where(self.where[..., None].to(states.device), replaced, states)


class LanguageModel:
    """A loaded model with its tokenizer.

    `kind` is causal or encoder, `revision` the commit of a hub model, `has_head` False where only hidden states can be
    had because the weights hold no language-model head. Every method takes token ids [batch, seq] without padding.
    """

    def __init__(
        self, module: nn.Module, tokenizer: TextTokenizer, card: ModelCard, revision: str | None, *, has_head: bool
    ) -> None:
        self.card, self.tokenizer, self.revision, self.has_head = card, tokenizer, revision, has_head
        self._module = module
        self._branches: dict[int, Branches] = {}
        self._blocks = self._find_blocks()

    @property
    def kind(self) -> Kind:
        return self.card.kind

    @property
    def layers(self) -> int:
        return len(self._blocks.blocks)

    @property
    def width(self) -> int:
        return self._blocks.width

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._module.parameters())

    @property
    def device(self) -> torch.device:
        return next(self._module.parameters()).device

    @property
    def memory_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self._module.parameters(), *self._module.buffers()))

    @property
    def vocabulary_size(self) -> int:
        return self.card.vocabulary_size

    def tap(self, layer: int, site: str) -> Tap:
        """The place of `site` in block `layer`.

        Raises ModelRefused when there is no such block, or the block has no such site.
        """
        if not 0 <= layer < self.layers:
            raise ModelRefused(f"The model has layers 0 to {self.layers - 1}, so layer {layer} does not exist.")
        block = self._blocks.blocks[layer]
        if site in ("resid_pre", "resid_post"):
            return Tap(block, of_input=site == "resid_pre")
        branches = self._branches_of(layer)
        branch = {"attn_out": branches.attention, "mlp_out": branches.mlp}.get(site)
        if branch is None:
            raise ModelRefused(f"What {site} means cannot be told in this model's blocks; resid_post can be read.")
        return Tap(branch)

    @torch.no_grad()
    def hidden_states(self, tokens: Tokens, layer: int, site: str) -> Tensor:
        """The hidden states [batch, seq, width] in float32; the forward stops as soon as they are there.

        Raises ModelRefused for a site the model does not have, and when the numbers are not finite.
        """
        found: list[Tensor] = []

        def keep_and_stop(states: Tensor) -> None:
            found.append(states)
            raise _DeepestSiteReached

        with self.tap(layer, site).visited_by(keep_and_stop), suppress(_DeepestSiteReached):
            self._forward(tokens)
        states = found[0].float().reshape(*tokens.shape, self.width)
        if not bool(states.sum().isfinite()):
            raise ModelRefused(f"{self.card.name} gives numbers that are not finite; read it in float32 instead.")
        return states

    @torch.no_grad()
    def logits(self, tokens: Tokens, splice: Splice | None = None) -> Tensor:
        """The logits [batch, seq, vocabulary] in float32, with hidden states replaced where `splice` says so."""
        visited: AbstractContextManager[None] = nullcontext()
        if splice is not None:
            windows, apply = (*tokens.shape, self.width), splice
            # Some families flatten batch and sequence inside their blocks; a splice always sees windows.
            visited = self.tap(splice.layer, splice.site).visited_by(
                lambda states: apply(states.reshape(windows)).reshape(states.shape)
            )
        with visited:
            logits: Tensor = self._forward(tokens).logits
        return logits.float()

    @torch.no_grad()
    def unembedding(self) -> Tensor | None:
        """The matrix U [vocabulary, width] with which `directions @ U.T` is a direction's effect on the logits.

        The final norm's gain and centring are folded in (its scale, which depends on the token, is not). None for a
        model whose head is more than a norm and a matrix, such as an encoder's.
        """
        if not self.has_head:
            return None
        return find_unembedding(self._module, self._blocks.blocks[-1], self._trial_forward)

    def token_texts(self) -> list[str]:
        """Readable text for every token id of the model's vocabulary."""
        return self.tokenizer.token_texts(self.vocabulary_size)

    def _find_blocks(self) -> BlockList:
        try:
            return find_blocks(self._module, self._trial_forward, self.card.layers)
        except ModelRefused:
            raise
        except Exception as error:  # a foreign model can fail in any way; the person gets one sentence
            reason = type(error).__name__
            raise ModelRefused(f"{self.card.name} cannot run on a few tokens of text ({reason}).") from error

    def _branches_of(self, layer: int) -> Branches:
        if layer not in self._branches:
            self._branches[layer] = find_branches(self._blocks.blocks[layer], self._trial_forward)
        return self._branches[layer]

    def _trial_forward(self) -> Any:
        # Ids from the middle of the vocabulary: special tokens are at its ends.
        start = max(0, self.vocabulary_size // 2 - TRIAL_TOKENS)
        return self._forward(torch.arange(start, start + TRIAL_TOKENS)[None] % self.vocabulary_size)

    def _forward(self, tokens: Tokens) -> Any:
        ids = _ids(tokens).to(self.device)
        keywords = {"use_cache": False} if self.kind == "causal" else {}
        return self._module(input_ids=ids, **keywords)


class _DeepestSiteReached(Exception):  # noqa: N818 - not an error: it ends a forward whose rest is not needed
    """Raised in the middle of a forward once the hidden states asked for are there."""


def next_token_losses(logits: Tensor, tokens: Tokens) -> Tensor:
    """Cross-entropy in nats of each next token, [batch, seq - 1], from causal logits [batch, seq, vocabulary]."""
    targets = _ids(tokens).to(logits.device)[:, 1:, None]
    # Three times as fast on a processor as cross_entropy, which wants the vocabulary before the sequence.
    return -logits[:, :-1].log_softmax(-1).gather(2, targets)[..., 0]


def _ids(tokens: Tokens) -> Tensor:
    # Windows are mapped from read-only files; the conversion copies them, so nothing can write there.
    return tokens.long() if isinstance(tokens, Tensor) else torch.from_numpy(np.array(tokens, dtype=np.int64))
