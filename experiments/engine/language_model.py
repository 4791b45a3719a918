"""A language model as the engine sees it: hidden states at some places, and logits with those at one replaced.

Works for every causal model and encoder that transformers can load and whose blocks can be found; no table of families.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.engine.block_list import BlockList, ModelRefused, Tap, find_blocks
from experiments.engine.config import Place
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

    With `reads`, a site of the same block that the forward passes earlier, `replace` is given the hidden states of
    that site instead: a transcoder reads mlp_in and replaces mlp_out. Where `where` [batch, seq] is given, positions at
    which it is False keep their own hidden state.
    """

    layer: int
    site: str
    replace: Callable[[Tensor], Tensor]
    where: Tensor | None = None
    reads: str | None = None

    @property
    def place(self) -> Place:
        return Place(self.layer, self.site)

    @property
    def source(self) -> Place:
        """Where the hidden states come from that `replace` is given."""
        return Place(self.layer, self.reads or self.site)

    def of(self, states: Tensor, source: Tensor) -> Tensor:
        """What takes the place of `states`, computed from the hidden states `source`."""
        replaced = self.replace(source.float()).to(states.dtype)
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

    def tap(self, place: Place) -> Tap:
        """The place in the forward pass that `place` names.

        Raises ModelRefused when there is no such block, or the block has no such site.
        """
        if not 0 <= place.layer < self.layers:
            raise ModelRefused(f"The model has layers 0 to {self.layers - 1}, so layer {place.layer} does not exist.")
        block = self._blocks.blocks[place.layer]
        if place.site in ("resid_pre", "resid_post"):
            return Tap(block, of_input=place.site == "resid_pre")
        branches = self._branches_of(place.layer)
        branch = {"attn_out": branches.attention, "mlp_out": branches.mlp}.get(place.site)
        if branch is None:
            raise ModelRefused(
                f"What {place.site} means cannot be told in this model's blocks; resid_post can be read."
            )
        return Tap(branch)

    def width_of(self, place: Place) -> int:
        """How many numbers a hidden state at `place` has.

        Raises ModelRefused for a place the model does not have.
        """
        self.tap(place)
        return self.width

    @torch.no_grad()
    def hidden_states(self, tokens: Tokens, places: Sequence[Place]) -> list[Tensor]:
        """The hidden states [batch, seq, width] at each of `places`, in float32, all from one forward.

        The forward stops at the deepest place, as soon as its hidden states are there. Raises ModelRefused for a place
        the model does not have, and when the numbers are not finite.
        """
        wanted = set(places)
        found: dict[Place, Tensor] = {}
        with ExitStack() as hooks, suppress(_DeepestPlaceReached):
            for place in wanted:
                hooks.enter_context(self.tap(place).visited_by(_keeper(place, wanted, found)))
            self._forward(tokens)
        windows = {place: states.float().reshape(*tokens.shape, -1) for place, states in found.items()}
        if not all(bool(states.sum().isfinite()) for states in windows.values()):
            raise ModelRefused(f"{self.card.name} gives numbers that are not finite; read it in float32 instead.")
        return [windows[place] for place in places]

    @torch.no_grad()
    def logits(self, tokens: Tokens, splice: Splice | None = None) -> Tensor:
        """The logits [batch, seq, vocabulary] in float32, with hidden states replaced where `splice` says so.

        Raises ModelRefused for a place the model does not have, and for a splice that reads what comes after it.
        """
        with ExitStack() as hooks:
            if splice is not None:
                self._apply(splice, tokens, hooks)
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

    def _apply(self, splice: Splice, tokens: Tokens, hooks: ExitStack) -> None:
        """Lets the next forward go through `splice`, for as long as `hooks` are open."""
        read: list[Tensor] = []

        # Some families flatten batch and sequence inside their blocks; a splice always sees windows.
        def replace(states: Tensor) -> Tensor:
            own = states.reshape(*tokens.shape, -1)
            if splice.source != splice.place and not read:
                raise ModelRefused(f"{splice.reads} comes after {splice.site} in this model, so it cannot replace it.")
            return splice.of(own, read[0] if read else own).reshape(states.shape)

        def keep(states: Tensor) -> None:
            read.append(states.reshape(*tokens.shape, -1).clone())

        if splice.source != splice.place:
            hooks.enter_context(self.tap(splice.source).visited_by(keep))
        hooks.enter_context(self.tap(splice.place).visited_by(replace))

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


class _DeepestPlaceReached(Exception):  # noqa: N818 - not an error: it ends a forward whose rest is not needed
    """Raised in the middle of a forward once the hidden states asked for are there."""


def _keeper(place: Place, wanted: set[Place], found: dict[Place, Tensor]) -> Callable[[Tensor], None]:
    """Puts the hidden states at `place` into `found`, and ends the forward when all that are `wanted` are there."""

    def keep(states: Tensor) -> None:
        found[place] = states
        if len(found) == len(wanted):
            raise _DeepestPlaceReached
        # A copy where the forward goes on: some families add to the stream in place, in this very tensor.
        found[place] = states.clone()

    return keep


def next_token_losses(logits: Tensor, tokens: Tokens) -> Tensor:
    """Cross-entropy in nats of each next token, [batch, seq - 1], from causal logits [batch, seq, vocabulary]."""
    targets = _ids(tokens).to(logits.device)[:, 1:, None]
    # Three times as fast on a processor as cross_entropy, which wants the vocabulary before the sequence.
    return -logits[:, :-1].log_softmax(-1).gather(2, targets)[..., 0]


def _ids(tokens: Tokens) -> Tensor:
    # Windows are mapped from read-only files; the conversion copies them, so nothing can write there.
    return tokens.long() if isinstance(tokens, Tensor) else torch.from_numpy(np.array(tokens, dtype=np.int64))
