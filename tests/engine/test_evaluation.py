"""Quality numbers against slow definitions in float64, on a tiny model with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.engine import kernels
from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.config import Place
from experiments.engine.evaluation import Evaluation
from experiments.engine.kernels import Weights
from experiments.engine.language_model import LanguageModel, Splice, next_token_losses
from experiments.engine.model_loading import load_language_model
from experiments.engine.reconstruction_quality import ReconstructionSums
from experiments.engine.sae import Sae, SaeDescription
from experiments.engine.splice_quality import SPLICE_NUMBERS, SpliceSums, measure_splices
from experiments.engine.windows import Windows
from tests.engine.tiny_models import WIDTH, save_tiny_model

LAYER, SITE, FEATURES, K = 1, "resid_post", 48, 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_language_model(save_tiny_model(tmp_path_factory.mktemp("llama"), "llama"))


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Nine windows of random text, each opened by a special token, with a second one inside the third."""
    tokens = np.random.default_rng(3).integers(3, 400, (9, 16)).astype(np.int32)
    special = np.zeros(tokens.shape, bool)
    special[:, 0] = special[2, 7] = True
    tokens[special] = 1
    documents = np.repeat(np.arange(9, dtype=np.int32), 16).reshape(9, 16)
    return Windows(tokens, documents, special)


def sae_of(norm_limit: float = 1e9, seed: int = 0) -> Sae:
    random = torch.Generator().manual_seed(seed)
    decoder = torch.randn(FEATURES, WIDTH, generator=random)
    kernels.normalise_rows_(decoder)
    weights = Weights(decoder.clone(), torch.zeros(FEATURES), decoder, torch.randn(WIDTH, generator=random))
    return Sae(weights, SaeDescription("topk", FEATURES, WIDTH, K, "local:tiny", LAYER, SITE, norm_limit))


def text_states(model: LanguageModel, windows: Windows) -> Tensor:
    return model.hidden_states(windows.tokens, [Place(LAYER, SITE)])[0][torch.from_numpy(~windows.special)]


def evaluate(model: LanguageModel, sae: Sae, windows: Windows, folder: Path, concepts: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    work = Evaluation(model, sae, windows, concepts).run(ExperimentFolder(folder))
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_reconstruction_numbers_follow_their_formulas(model: LanguageModel, windows: Windows) -> None:
    sae, states = sae_of(), text_states(model, windows)
    sums = ReconstructionSums(WIDTH, FEATURES, torch.device("cpu"))
    for part in states.split(17):
        code = sae.encode(part)
        sums.add(part, code, sae.decode(code, part))
    found = sums.quality(K)

    x, rebuilt = states.double(), sae.reconstruct(states).double()
    variance = x.square().sum(1).mean() - x.mean(0).square().sum()
    mse = (x - rebuilt).square().sum(1).mean()
    code = sae.encode(states)
    fired = set(code.features.tolist())
    assert found["mse"] == pytest.approx(mse.item(), rel=1e-6)
    assert found["explained_variance"] == pytest.approx(1 - (mse / variance).item(), rel=1e-5)
    assert found["fvu"] == pytest.approx(1 - found["explained_variance"])
    assert found["l0"] == pytest.approx(len(code.features) / len(code))
    assert found["cosine"] == pytest.approx(torch.cosine_similarity(x, rebuilt).mean().item(), rel=1e-5)
    assert found["l2_ratio"] == pytest.approx((rebuilt.norm(dim=1) / x.norm(dim=1)).mean().item(), rel=1e-5)
    assert found["dead_share"] == pytest.approx(1 - len(fired) / FEATURES)
    assert found["dead_tokens"] == len(states)


def test_pca_explains_what_its_components_explain() -> None:
    states = torch.randn(300, 12, generator=torch.Generator().manual_seed(5)) * torch.arange(1, 13) + 40
    sums = ReconstructionSums(12, FEATURES, torch.device("cpu"))
    sae = sae_of()
    for part in states.split(40):
        sums.add(part, sae.encode(torch.zeros(len(part), WIDTH)), torch.zeros_like(part))
    centred = (states - states.mean(0)).double()
    singular = torch.linalg.svdvals(centred).square()
    expected = (singular[:3].sum() / singular.sum()).item()
    assert sums.quality(3)["pca_explained_variance"] == pytest.approx(expected, rel=1e-4)


def test_no_tokens_are_no_reason_to_fail() -> None:
    found = ReconstructionSums(WIDTH, FEATURES, torch.device("cpu")).quality(K)
    assert found["dead_tokens"] == 0
    assert np.isfinite(list(found.values())).all()


def loss_with(model: LanguageModel, windows: Windows, replacement: Tensor | None) -> float:
    """Mean loss of predictions from text tokens, one window at a time; the slow and obvious way."""
    losses: list[float] = []
    for number in range(len(windows)):
        tokens, text = windows.tokens[number : number + 1], ~windows.special[number]
        splice = None
        if replacement is not None:
            states = replacement[number][None]
            splice = Splice(LAYER, SITE, lambda _, states=states: states, torch.from_numpy(text)[None])
        found = next_token_losses(model.logits(tokens, splice), tokens)[0]
        losses += [float(loss) for loss, counted in zip(found, text[:-1], strict=True) if counted]
    return float(np.mean(losses))


def test_splices_agree_with_reading_window_by_window(model: LanguageModel, windows: Windows) -> None:
    sae = sae_of()
    (states,) = model.hidden_states(windows.tokens, [Place(LAYER, SITE)])
    mean = text_states(model, windows).double().mean(0)
    sums = SpliceSums()
    assert sum(measure_splices(model, sae, windows, mean, sums)) == windows.tokens.size
    found = sums.quality()

    rebuilt = sae.reconstruct(states.flatten(0, 1)).view_as(states)
    clean, spliced, zero, average = (
        loss_with(model, windows, replacement)
        for replacement in (None, rebuilt, torch.zeros_like(states), mean.float().expand_as(states))
    )
    assert found["ce_clean"] == pytest.approx(clean, rel=1e-5)
    assert found["ce_spliced"] == pytest.approx(spliced, rel=1e-5)
    assert found["ce_zero"] == pytest.approx(zero, rel=1e-5)
    assert found["ce_mean"] == pytest.approx(average, rel=1e-5)
    assert found["ce_gap"] == pytest.approx(spliced - clean, abs=1e-5)
    assert found["identity_gap"] == pytest.approx(0.0, abs=1e-6)
    if zero > clean:
        assert found["ce_recovered_zero"] == pytest.approx((zero - spliced) / (zero - clean), rel=1e-3)


def test_divergence_from_itself_is_zero_and_otherwise_positive(model: LanguageModel, windows: Windows) -> None:
    sums, mean = SpliceSums(), torch.zeros(WIDTH, dtype=torch.float64)
    list(measure_splices(model, sae_of(norm_limit=0.0), windows, mean, sums))  # all are outliers: nothing is replaced
    found = sums.quality()
    assert found["kl"] == pytest.approx(0.0, abs=1e-9)
    assert found["ce_spliced"] == found["ce_zero"] == found["ce_mean"] == found["ce_clean"]
    assert found["ce_recovered_zero"] is None

    sums = SpliceSums()
    list(measure_splices(model, sae_of(), windows, mean, sums))
    assert (sums.quality()["kl"] or 0.0) > 0.001


def test_outliers_are_left_out_and_counted(model: LanguageModel, windows: Windows, tmp_path: Path) -> None:
    norms = text_states(model, windows).norm(dim=1)
    limit = float(norms.sort().values[-6:-4].mean())  # five states are longer
    quality = evaluate(model, sae_of(norm_limit=limit), windows, tmp_path)
    assert quality["outliers_left_out"] == 5
    assert quality["held_out_tokens"] == len(norms) - 5


def test_the_quality_file_says_what_was_returned(model: LanguageModel, windows: Windows, tmp_path: Path) -> None:
    quality = evaluate(model, sae_of(), windows, tmp_path)
    assert json.loads(ExperimentFolder(tmp_path).quality.read_text()) == quality
    assert set(SPLICE_NUMBERS) < set(quality)
    assert "concepts" not in quality


def test_an_encoder_has_no_next_token_numbers(windows: Windows, tmp_path: Path) -> None:
    encoder = load_language_model(save_tiny_model(tmp_path / "bert", "bert"))
    small = Windows(windows.tokens % encoder.vocabulary_size, windows.documents, windows.special)
    quality = evaluate(encoder, sae_of(), small, tmp_path)
    assert {quality[name] for name in SPLICE_NUMBERS} == {None}
    assert quality["explained_variance"] <= 1


def test_planted_concepts_are_looked_for_where_they_are_known(
    model: LanguageModel, windows: Windows, tmp_path: Path
) -> None:
    """The concept is carried by exactly the tokens on which the most frequent feature fires."""
    sae, names = sae_of(), ("weekday", "month")
    (states,) = model.hidden_states(windows.tokens, [Place(LAYER, SITE)])
    code = sae.encode(states.flatten(0, 1))
    frequent = int(code.features.mode().values)
    fires = torch.zeros(len(code), dtype=torch.bool)
    fires[code.tokens[code.features == frequent]] = True
    fires = fires.view(windows.tokens.shape).numpy()
    flags = np.stack([fires, np.zeros_like(fires)], axis=-1)
    planted = Windows(windows.tokens, windows.documents, windows.special, np.packbits(flags, axis=-1))
    concepts = evaluate(model, sae, planted, tmp_path, names)["concepts"]

    weekday = concepts["rows"][0]
    assert (weekday["concept"], weekday["title"], weekday["feature"]) == ("weekday", "Weekday", frequent)
    assert concepts["fitted_tokens"] + concepts["scored_tokens"] == np.count_nonzero(~windows.special)
    by_feature = json.loads(ExperimentFolder(tmp_path).feature_concepts.read_text())
    assert by_feature[str(frequent)]["name"] == "weekday"
