"""What an evaluation says of planted concepts: recovery, sparse probing, absorption. Works on sparse firings only."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.absorption import FEWEST_TOKENS, Absorption, Parent
from experiments.engine.artifacts import ExperimentFolder, write_json
from experiments.engine.builtin.broader_concepts import BROADER_CONCEPTS
from experiments.engine.builtin.concepts import CONCEPTS
from experiments.engine.concept_recovery import ConceptRecovery, HeldOutFirings, sort_firings
from experiments.engine.kernels import SparseCode
from experiments.engine.probe_sample import Bools, SampledTokens
from experiments.engine.probing import Probing, probe_concept
from experiments.engine.sae import Sae
from experiments.engine.windows import Windows


class ConceptQuality:
    """Remembers what fired on which held-out token, and then looks for the concepts."""

    def __init__(self, sae: Sae, windows: Windows, names: tuple[str, ...], token_texts: list[str]) -> None:
        """`token_texts` are of the model's vocabulary: the words of a concept are its children."""
        self._sae, self._names, self._token_texts = sae, names, token_texts
        self._tokens_of_text = windows.tokens.reshape(-1)
        self._flags = windows.concept_flags(len(names)).reshape(-1, len(names))
        self._documents = windows.documents.reshape(-1)
        self._broader = _members_of_broader(names)
        broader = [self._flags[:, list(members.values())].any(1) for members in self._broader.values()]
        flags = np.c_[self._flags, np.stack(broader, 1)] if broader else self._flags
        self._sample = SampledTokens(flags, self._documents, ~windows.special.reshape(-1))
        self._firings: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        self._positions: list[NDArray[np.int64]] = []
        self._tokens = 0

    def add(self, positions: NDArray[np.int64], states: Tensor, code: SparseCode) -> None:
        """Takes the code of tokens at `positions` [T], and the hidden states [T, width] that are reconstructed."""
        features, tokens, activations = code.to_numpy()
        self._firings.append((features, tokens + self._tokens, activations))
        self._positions.append(positions)
        self._tokens += len(code)
        self._sample.add(positions, states, code)

    def run(self, folder: ExperimentFolder) -> Generator[str, None, dict[str, Any]]:
        """Returns `concepts`, `probing`, `absorption` and their `intervals`, writes feature_concepts.json; yields
        what it does."""
        recovery = self._recovery()
        for _ in recovery.run():
            yield "looking for planted concepts"
        write_json(folder.feature_concepts, recovery.by_feature())
        self._sample.close()
        probing, absorption = Probing(self._sample), self._absorption()
        for concept, name in enumerate((*self._names, *self._broader)):
            probe = probe_concept(self._sample, concept, self._sae.description.n_features)
            if concept < len(self._names):
                probing.add(name, probe)
            if probe is not None:
                absorption.look_at(Parent(name, concept, probe, self._children(concept, name)))
            yield "probing for planted concepts"
        numbers = {"concepts": recovery.summary(), "probing": probing.summary(), "absorption": absorption.summary()}
        return numbers | {"intervals": recovery.intervals() | probing.intervals() | absorption.intervals()}

    def _children(self, concept: int, name: str) -> dict[str, Bools]:
        """Which sampled tokens each child has: the members of a broader concept, the words of a planted one."""
        flags = self._sample.flags
        if members := self._broader.get(name):
            return {member: flags[:, column] for member, column in members.items()}
        ids = self._tokens_of_text[self._sample.positions]
        words, counts = np.unique(ids[flags[:, concept] & self._sample.odd], return_counts=True)
        frequent = words[counts >= FEWEST_TOKENS]
        return {self._token_texts[word]: flags[:, concept] & (ids == word) for word in frequent}

    def _absorption(self) -> Absorption:
        weights = self._sae.weights
        decoder, bias = (weight.cpu().double().numpy() for weight in (weights.decoder, weights.decoder_bias))
        return Absorption(self._sample, decoder, bias)

    def _recovery(self) -> ConceptRecovery:
        features, tokens, activations = (np.concatenate(parts) for parts in zip(*self._firings, strict=True))
        positions = np.concatenate(self._positions)
        held_out = HeldOutFirings(
            sort_firings(features, tokens, activations), self._documents[positions], self._flags[positions]
        )
        titles = {name: CONCEPTS[name].title for name in self._names}
        return ConceptRecovery(held_out, self._names, titles, self._sae.description.n_features)


def _members_of_broader(names: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """The columns of the members of each broader concept, by name; those whose members are all among `names`."""
    columns = {name: column for column, name in enumerate(names)}
    return {
        broader: {member: columns[member] for member in members}
        for broader, members in BROADER_CONCEPTS.items()
        if columns.keys() >= set(members)
    }
