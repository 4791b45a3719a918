"""Numbers of other tools against their formulas, written out batch by batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.evaluation import Evaluation
from experiments.engine.language_model import LanguageModel, Splice
from experiments.engine.model_loading import load_language_model
from experiments.engine.splice_quality import Predictions
from experiments.engine.variant_quality import VariantSums
from experiments.engine.windows import Windows
from experiments.quality_evidence import VARIANTS
from tests.engine.test_evaluation import LAYER, SITE, sae_of
from tests.engine.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_language_model(save_tiny_model(tmp_path_factory.mktemp("llama"), "llama"))


@pytest.fixture(scope="module")
def windows() -> Windows:
    tokens = np.random.default_rng(4).integers(3, 400, (4, 12)).astype(np.int32)
    special = np.zeros(tokens.shape, bool)
    special[:, 0] = True
    return Windows(tokens, np.repeat(np.arange(4, dtype=np.int32), 12).reshape(4, 12), special)


def test_variants_follow_the_formulas_of_their_tools() -> None:
    random = torch.Generator().manual_seed(8)
    states = torch.randn(60, 5, generator=random) + 3
    rebuilt = states + torch.randn(60, 5, generator=random) / 3 + 0.5
    sums, per_batch, per_token = VariantSums(), [], []
    for rows in torch.arange(60).split(20):
        x, r = states[rows].double(), rebuilt[rows].double()
        error, centred = (x - r).square().sum(1), (x - x.mean(0)).square().sum(1)
        per_batch.append(
            [
                x.square().sum(1).mean(),
                error.mean(),
                error.sum() / centred.sum(),
                1 - (x - r).var(0).sum() / x.var(0).sum(),
                error.mean() / 20,
                x.mean(),
            ]
        )
        per_token += list(zip(1 - error / centred, error / x.square().sum(1), strict=True))
        sums.add(states[rows], rebuilt[rows])
    norm, error, fvu, of_difference, divided, scalar = np.mean(np.array(per_batch), 0)
    legacy, nmse = np.mean(np.array(per_token), 0)
    assert sums.quality(None, None) == {
        "saelens_6_18_explained_variance": pytest.approx(1 - error / (norm - scalar**2), rel=1e-5),
        "saebench_paper_explained_variance": pytest.approx(legacy, rel=1e-5),
        "sparsify_fvu": pytest.approx(fvu, rel=1e-5),
        "dictionary_learning_variance_explained": pytest.approx(of_difference, rel=1e-5),
        "openai_nmse": pytest.approx(nmse, rel=1e-5),
        "saebench_mse": pytest.approx(divided, rel=1e-5),
    }


def test_zeroing_everything_zeroes_the_first_token_too(model: LanguageModel, windows: Windows) -> None:
    sums = VariantSums()
    sums.add_predictions(Predictions(model, sae_of(), windows))
    everywhere = Splice(LAYER, SITE, torch.zeros_like, torch.ones(windows.tokens.shape, dtype=torch.bool))
    log_probabilities = model.logits(windows.tokens, everywhere).double().log_softmax(-1)
    losses = [-log_probabilities[w, t, int(windows.tokens[w, t + 1])] for w in range(4) for t in range(1, 11)]
    found = sums.quality(clean=2.0, spliced=3.0)
    assert found["saelens_ce_zero"] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)
    zero = found["saelens_ce_zero"]
    assert found["saelens_ce_recovered"] == pytest.approx((zero - 3) / (zero - 2))
    assert found["saebench_default_ce_spliced"] != pytest.approx(zero)


@pytest.mark.parametrize("variants", [False, True])
def test_variants_are_measured_when_asked_for(
    model: LanguageModel, windows: Windows, tmp_path: Path, variants: bool
) -> None:
    folder = ExperimentFolder(tmp_path)
    list(Evaluation(model, sae_of(), windows, variants=variants).run(folder))
    quality = json.loads(folder.quality.read_text())
    assert set(quality.get("variants", {})) == (set(VARIANTS) if variants else set())
