"""What an evaluation says of planted concepts: recovery, sparse probing, absorption. Works on sparse firings only."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from experiments.engine.absorption import Absorption, hierarchies_of
from experiments.engine.artifacts import ExperimentFolder, write_json
from experiments.engine.builtin.concepts import CONCEPTS
from experiments.engine.concept_recovery import ConceptRecovery, HeldOutFirings, sort_firings
from experiments.engine.kernels import SparseCode
from experiments.engine.probe_sample import SampledTokens
from experiments.engine.probing import Probing
from experiments.engine.sae import Sae
from experiments.engine.windows import Windows


class ConceptQuality:
    """Remembers what fired on which held-out token, and then looks for the concepts."""

    def __init__(self, sae: Sae, windows: Windows, names: tuple[str, ...]) -> None:
        self._sae, self._names = sae, names
        self._flags = windows.concept_flags(len(names)).reshape(-1, len(names))
        self._documents = windows.documents.reshape(-1)
        self._sample = SampledTokens(self._flags, self._documents, ~windows.special.reshape(-1))
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
        """Returns `concepts`, `probing` and `absorption`, and writes feature_concepts.json; yields what it does."""
        flags = self._flags[np.concatenate(self._positions)]
        recovery = self._recovery(flags)
        for _ in recovery.run():
            yield "looking for planted concepts"
        write_json(folder.feature_concepts, recovery.by_feature())
        self._sample.close()
        probing = Probing(self._sample, self._names, self._sae.description.n_features)
        for _ in probing.run():
            yield "probing for planted concepts"
        weights = self._sae.weights
        decoder, bias = (weight.cpu().double().numpy() for weight in (weights.decoder, weights.decoder_bias))
        absorption = Absorption(probing, decoder, bias).summary(hierarchies_of(flags))
        return {"concepts": recovery.summary(), "probing": probing.summary(), "absorption": absorption}

    def _recovery(self, flags: NDArray[np.bool_]) -> ConceptRecovery:
        features, tokens, activations = (np.concatenate(parts) for parts in zip(*self._firings, strict=True))
        documents = self._documents[np.concatenate(self._positions)]
        held_out = HeldOutFirings(sort_firings(features, tokens, activations), documents, flags)
        titles = {name: CONCEPTS[name].title for name in self._names}
        return ConceptRecovery(held_out, self._names, titles, self._sae.description.n_features)
