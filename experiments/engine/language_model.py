"""A language model as the engine sees it: hidden states at some places, and logits with those at one replaced.

Works for every causal model and encoder that transformers can load and whose blocks can be found; no table of families.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from experiments.engine.block_list import BlockList, ModelRefused, Tap, find_blocks
from experiments.engine.block_memory import BlockMemory
from experiments.engine.config import Place
from experiments.engine.logit_lens import find_unembedding
from experiments.engine.model_card import Kind, ModelCard
from experiments.engine.processor_threads import side_by_side
from experiments.engine.residual_branches import Site, find_sites
from experiments.engine.text_tokenizer import TextTokenizer

__all__ = ["LanguageModel", "ModelRefused", "Splice", "Tokens", "next_token_losses"]

Tokens: TypeAlias = Tensor | NDArray[np.integer[Any]]
Mask: TypeAlias = Tensor | NDArray[np.bool_]

# On a processor windows of so many tokens are read in one forward, side by side with others; alone they are read faster
# than together, and their hidden states are the same however many threads there are.
TOKENS_PER_FORWARD = 1_024
# Enough tokens to tell tensors in a block apart, few enough to cost nothing on a large model.
TRIAL_TOKENS = 6
# Why a block may lack a site.
NOT_FOUND = {
    "attn_heads": "its attention does not end in one projection of the heads",
    "attn_out": "what its attention adds to the residual stream is not the output of one module",
    "mlp_in": "what its MLP reads is not the input of one module",
    "mlp_out": "what its MLP adds to the residual stream is not the output of one module",
}


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
    had because the weights hold no language-model head. Every method takes token ids [batch, seq]. An `attention_mask`
    [batch, seq] is False at padding, which nothing reads and where the answer means nothing; without it all is text.
    Several threads may ask; they are answered one after the other.
    """

    def __init__(
        self, module: nn.Module, tokenizer: TextTokenizer, card: ModelCard, revision: str | None, *, has_head: bool
    ) -> None:
        self.card, self.tokenizer, self.revision, self.has_head = card, tokenizer, revision, has_head
        self._module = module
        self._one_reader = threading.RLock()  # what a hook sees must be of the forwards it was put there for
        self._sites: dict[int, dict[str, Site]] = {}
        self._continues_exactly: dict[int, bool] = {}  # by the number of blocks that are remembered
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
        return self._site(place).tap

    def width_of(self, place: Place) -> int:
        """How many numbers a hidden state at `place` has.

        Raises ModelRefused for a place the model does not have.
        """
        return self._site(place).width

    @torch.no_grad()
    def hidden_states(
        self, tokens: Tokens, places: Sequence[Place], attention_mask: Mask | None = None
    ) -> list[Tensor]:
        """The hidden states [batch, seq, width] at each of `places`, in float32, from one reading.

        A forward stops at the deepest place, as soon as its hidden states are there. Raises ModelRefused for a place
        the model does not have, and when the numbers are not finite.
        """
        with self._one_reader, ExitStack() as hooks:
            # All before the first is visited: finding them runs forwards.
            taps = {place: self.tap(place) for place in places}
            kept = _Kept(len(taps))
            for place, tap in taps.items():
                hooks.enter_context(tap.visited_by(kept.keeper_of(place)))

            def read(rows: slice) -> dict[Place, Tensor]:
                mask = None if attention_mask is None else attention_mask[rows]
                found = kept.by(lambda: self._forward(tokens[rows], mask))
                # Some families flatten batch and sequence inside their blocks.
                return {at: states.float().reshape(*tokens[rows].shape, -1) for at, states in found.items()}

            parts = side_by_side(read, self._pieces(*tokens.shape))
        windows = {place: _joined([part[place] for part in parts]) for place in taps}
        if not all(bool(states.sum().isfinite()) for states in windows.values()):
            raise ModelRefused(f"{self.card.name} gives numbers that are not finite; read it in float32 instead.")
        return [windows[place] for place in places]

    def _pieces(self, windows: int, length: int) -> list[slice]:
        """The windows that are read in one forward each."""
        size = max(1, TOKENS_PER_FORWARD // length) if self.device.type == "cpu" else windows
        return [slice(start, start + size) for start in range(0, windows, size)]

    @torch.no_grad()
    def logits(
        self,
        tokens: Tokens,
        splice: Splice | None = None,
        attention_mask: Mask | None = None,
        memory: BlockMemory | None = None,
    ) -> Tensor:
        """The logits [batch, seq, vocabulary] in float32, with hidden states replaced where `splice` says so.

        With a `memory`, made for the splice's place and used for these tokens alone, the first call is remembered and
        later ones go on from there. Raises ModelRefused for a place the model does not have, and for a splice that
        reads what comes after it.
        """
        with self._one_reader, ExitStack() as hooks:
            if memory is not None:
                hooks.enter_context(memory.in_use())
            if splice is not None:
                self._apply(splice, tokens, hooks)
            logits: Tensor = self._forward(tokens, attention_mask).logits
        return logits.float()

    def memory_before(self, source: Place, place: Place) -> BlockMemory:
        """A memory of the blocks that a splice at `place`, of what is read at `source`, leaves alone.

        It remembers nothing where a forward that goes on from there does not give the same bits on a few tokens.
        Raises ModelRefused for a place that the model does not have.
        """
        for wanted in (source, place):
            self.tap(wanted)  # finding a site runs forwards, which a memory in use would take for the one to remember
        after_the_block = place.site == "resid_post" and source == place
        count = place.layer + 1 if after_the_block else place.layer
        if count not in self._continues_exactly:
            self._continues_exactly[count] = self._try_to_continue_after(count)
        return BlockMemory(self._blocks.blocks[:count] if self._continues_exactly[count] else ())

    @torch.no_grad()
    def unembedding(self, place: Place) -> Tensor | None:
        """The matrix U [vocabulary, width there] with which `directions @ U.T` is the effect on the logits.

        It is the direct effect of directions at `place`, through the residual stream. Folded in are the attention's
        output projection for its heads, and the final norm's gain and centring (not its scale, which depends on the
        token). None where there is no such matrix: for what the MLP is given, and for a model whose head is more than
        a norm and a matrix, such as an encoder's.
        """
        site = self._site(place)
        if not self.has_head or not site.written:
            return None
        matrix = find_unembedding(self._module, self._blocks.blocks[-1], self._trial_forward)
        return matrix if matrix is None or site.writer is None else matrix @ _matrix_of(site.writer, site.width)

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

    @torch.no_grad()
    def _try_to_continue_after(self, count: int) -> bool:
        memory = BlockMemory(self._blocks.blocks[:count])
        found = []
        for _ in range(2):
            with self._one_reader, memory.in_use():
                found.append(self._trial_forward().logits)
        return torch.equal(*found)

    def _apply(self, splice: Splice, tokens: Tokens, hooks: ExitStack) -> None:
        """Lets the next forward go through `splice`, for as long as `hooks` are open."""
        source, place = self.tap(splice.source), self.tap(splice.place)
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
            hooks.enter_context(source.visited_by(keep))
        hooks.enter_context(place.visited_by(replace))

    def _site(self, place: Place) -> Site:
        if not 0 <= place.layer < self.layers:
            raise ModelRefused(f"The model has layers 0 to {self.layers - 1}, so layer {place.layer} does not exist.")
        block = self._blocks.blocks[place.layer]
        if place.site in ("resid_pre", "resid_post"):
            return Site(Tap(block, of_input=place.site == "resid_pre"), self.width)
        if place.layer not in self._sites:
            self._sites[place.layer] = find_sites(block, self._trial_forward)
        site = self._sites[place.layer].get(place.site)
        if site is None:
            reason = NOT_FOUND.get(place.site, "no site has that name")
            raise ModelRefused(f"{self.card.name} has no {place.site} in block {place.layer}: {reason}.")
        return site

    def _trial_forward(self) -> Any:
        # Ids from the middle of the vocabulary: special tokens are at its ends.
        start = max(0, self.vocabulary_size // 2 - TRIAL_TOKENS)
        return self._forward(torch.arange(start, start + TRIAL_TOKENS)[None] % self.vocabulary_size)

    def _forward(self, tokens: Tokens, attention_mask: Mask | None = None) -> Any:
        ids = _ids(tokens).to(self.device)
        keywords: dict[str, Any] = {"use_cache": False} if self.kind == "causal" else {}
        if attention_mask is not None:
            keywords["attention_mask"] = _ids(attention_mask).to(self.device)
        return self._module(input_ids=ids, **keywords)


class _DeepestPlaceReached(Exception):  # noqa: N818 - not an error: it ends a forward whose rest is not needed
    """Raised in the middle of a forward once the hidden states asked for are there."""


class _Kept:
    """Keeps the hidden states at `wanted` places of a forward. Forwards in several threads do not see each other's."""

    def __init__(self, wanted: int) -> None:
        self._wanted, self._of_this_thread = wanted, threading.local()

    def by(self, forward: Callable[[], Any]) -> dict[Place, Tensor]:
        """The hidden states of this forward, which ends as soon as all are there."""
        self._of_this_thread.found = {}
        with suppress(_DeepestPlaceReached):
            forward()
        found: dict[Place, Tensor] = self._of_this_thread.found
        return found

    def keeper_of(self, place: Place) -> Callable[[Tensor], None]:
        """What is shown the tensor at `place`."""

        def keep(states: Tensor) -> None:
            found = self._of_this_thread.found
            found[place] = states
            if len(found) == self._wanted:
                raise _DeepestPlaceReached
            # A copy where the forward goes on: some families add to the stream in place, in this very tensor.
            found[place] = states.clone()

        return keep


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _matrix_of(projection: nn.Module, width: int) -> Tensor:
    """The matrix [width of the stream, width] of a projection, in float32 and without its bias."""
    in_float32 = {name: parameter.float() for name, parameter in projection.named_parameters()}
    basis = torch.eye(width, device=next(projection.parameters()).device)
    rows = functional_call(projection, in_float32, torch.cat([basis, torch.zeros_like(basis[:1])]))
    matrix: Tensor = (rows[:-1] - rows[-1]).T
    return matrix


def next_token_losses(logits: Tensor, tokens: Tokens) -> Tensor:
    """Cross-entropy in nats of each next token, [batch, seq - 1], from causal logits [batch, seq, vocabulary]."""
    targets = _ids(tokens).to(logits.device)[:, 1:, None]
    # Three times as fast on a processor as cross_entropy, which wants the vocabulary before the sequence.
    return -logits[:, :-1].log_softmax(-1).gather(2, targets)[..., 0]


def _ids(tokens: Tokens | Mask) -> Tensor:
    # Windows are mapped from read-only files; the conversion copies them, so nothing can write there.
    return tokens.long() if isinstance(tokens, Tensor) else torch.from_numpy(np.array(tokens, dtype=np.int64))
