"""Quality numbers against slow definitions in float64, on a tiny model with random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
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
from experiments.metric_explanations import EXPLANATIONS
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


def sums_of(states: Tensor, sae: Sae, documents: NDArray[np.int64]) -> ReconstructionSums:
    sums = ReconstructionSums(WIDTH)
    for rows in np.split(np.arange(len(states)), range(17, len(states), 17)):
        code = sae.encode(states[rows])
        sums.add(states[rows], code, sae.decode(code, states[rows]), documents[rows])
    return sums


def test_reconstruction_numbers_follow_their_formulas(model: LanguageModel, windows: Windows) -> None:
    sae, states = sae_of(), text_states(model, windows)
    found = sums_of(states, sae, windows.documents[~windows.special]).quality()

    x, rebuilt = states.double(), sae.reconstruct(states).double()
    variance = x.square().sum(1).mean() - x.mean(0).square().sum()
    mse = (x - rebuilt).square().sum(1).mean()
    code = sae.encode(states)
    bias = rebuilt.square().sum() / (x * rebuilt).sum()
    assert found["mse"] == pytest.approx(mse.item(), rel=1e-6)
    assert found["explained_variance"] == pytest.approx(1 - (mse / variance).item(), rel=1e-5)
    assert found["fvu"] == pytest.approx(1 - found["explained_variance"])
    assert found["l0"] == pytest.approx(len(code.features) / len(code))
    assert found["l1"] == pytest.approx(code.activations.double().sum().item() / len(code), rel=1e-6)
    assert found["cosine"] == pytest.approx(torch.cosine_similarity(x, rebuilt).mean().item(), rel=1e-5)
    assert found["l2_ratio"] == pytest.approx((rebuilt.norm(dim=1) / x.norm(dim=1)).mean().item(), rel=1e-5)
    assert found["relative_reconstruction_bias"] == pytest.approx(bias.item(), rel=1e-5)


def test_a_large_mean_does_not_cost_the_explained_variance_its_digits(model: LanguageModel, windows: Windows) -> None:
    states = text_states(model, windows)
    rebuilt = states + 0.1 * torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
    far, rebuilt_far = states + 1_000, rebuilt + 1_000
    sums, code = ReconstructionSums(WIDTH), sae_of().encode(states)
    sums.add(far, code, rebuilt_far, np.zeros(len(far), np.int64))
    x, x_hat = far.double(), rebuilt_far.double()
    expected = 1 - ((x - x_hat).square().sum() / (x - x.mean(0)).square().sum()).item()
    assert sums.quality()["explained_variance"] == pytest.approx(expected, abs=1e-6)
    assert sums.mean.numpy() == pytest.approx(x.mean(0).numpy(), rel=1e-6)


def test_intervals_are_of_documents_drawn_again(model: LanguageModel, windows: Windows) -> None:
    sae, states, documents = sae_of(), text_states(model, windows), windows.documents[~windows.special]
    found = sums_of(states, sae, documents).intervals()

    x, error = states.double(), (states - sae.reconstruct(states)).double().square().sum(1)
    explained = []
    for drawn in np.random.default_rng(0).multinomial(9, np.full(9, 1 / 9), 1_000):
        weights = torch.from_numpy(drawn[documents]).double()
        mean = (weights[:, None] * x).sum(0) / weights.sum()
        variance = (weights * (x - mean).square().sum(1)).sum()
        explained.append(1 - ((weights * error).sum() / variance).item())
    assert found["explained_variance"] == pytest.approx(np.percentile(explained, [2.5, 97.5]).tolist(), rel=1e-5)


def test_a_reconstruction_that_is_perfect(model: LanguageModel, windows: Windows) -> None:
    states = text_states(model, windows)
    sums = ReconstructionSums(WIDTH)
    sums.add(states, sae_of().encode(states), states, windows.documents[~windows.special])
    found = sums.quality()
    assert (found["explained_variance"], found["mse"]) == (1.0, 0.0)
    assert found["relative_reconstruction_bias"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("architecture", "bias"), [("topk", 0.0), ("relu", -50.0)])
def test_pca_explains_what_as_many_components_explain_as_features_fire(architecture: str, bias: float) -> None:
    states = torch.randn(300, WIDTH, generator=torch.Generator().manual_seed(5)) * torch.arange(1, WIDTH + 1) + 40
    sae = sae_of()
    sae.weights.encoder_bias.fill_(bias)
    sae = Sae(sae.weights, replace(sae.description, architecture=architecture))
    found = sums_of(states, sae, np.zeros(300, np.int64)).quality()
    rank = round(len(sae.encode(states).features) / len(states))
    assert 1 < rank < WIDTH
    assert (rank == K) == (architecture == "topk")
    centred = (states - states.mean(0)).double()
    singular = torch.linalg.svdvals(centred).square()
    expected = (singular[:rank].sum() / singular.sum()).item()
    assert found["pca_explained_variance"] == pytest.approx(expected, rel=1e-4)


def test_no_tokens_are_no_reason_to_fail() -> None:
    found = ReconstructionSums(WIDTH).quality()
    assert found.pop("relative_reconstruction_bias") is None
    assert np.isfinite(list(found.values())).all()  # type: ignore[arg-type]


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
    assert (found["kl_zero"] or 0) > 0
    assert found["kl_recovered_mean"] == pytest.approx(1 - (found["kl"] or 0) / (found["kl_mean"] or 1))
    if zero > clean:
        assert found["ce_recovered_zero"] == pytest.approx((zero - spliced) / (zero - clean), rel=1e-3)


def test_divergences_agree_with_whole_distributions(model: LanguageModel, windows: Windows) -> None:
    sae, sums = sae_of(), SpliceSums()
    list(measure_splices(model, sae, windows, torch.zeros(WIDTH, dtype=torch.float64), sums))
    text = torch.from_numpy(~windows.special)
    (states,) = model.hidden_states(windows.tokens, [Place(LAYER, SITE)])
    for name, replacement in (
        ("kl", sae.reconstruct(states.flatten(0, 1)).view_as(states)),
        ("kl_zero", torch.zeros_like(states)),
    ):
        splice = Splice(LAYER, SITE, lambda _, put=replacement: put, text)
        p = model.logits(windows.tokens)[:, :-1][text[:, :-1]].double().softmax(-1)
        q = model.logits(windows.tokens, splice)[:, :-1][text[:, :-1]].double().softmax(-1)
        assert sums.quality()[name] == pytest.approx((p * (p / q).log()).sum(-1).mean().item(), rel=1e-4)


def test_intervals_of_cross_entropies_hold_their_numbers(model: LanguageModel, windows: Windows) -> None:
    sums = SpliceSums()
    list(measure_splices(model, sae_of(), windows, torch.zeros(WIDTH, dtype=torch.float64), sums))
    found, intervals = sums.quality(), sums.intervals()
    for name in ("ce_clean", "ce_spliced", "ce_gap", "kl"):
        low, high = intervals[name]
        assert low < (found[name] or 0) < high


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


def test_every_number_is_explained_and_every_explanation_is_of_a_number(
    model: LanguageModel, windows: Windows, tmp_path: Path
) -> None:
    flags = np.zeros((*windows.tokens.shape, 1), bool)
    planted = Windows(windows.tokens, windows.documents, windows.special, np.packbits(flags, axis=-1))
    numbers = set(evaluate(model, sae_of(), planted, tmp_path, ("weekday",)))
    explained = {key for name, one in EXPLANATIONS.items() for key in (name, *one.keys)}
    of_curves_and_commands = {"loss", "penalty", "seed_stability", "variants"}
    within_others = {"concepts_single", "concepts_set", "absorption_fraction"}
    assert explained - numbers == of_curves_and_commands | within_others
    assert numbers - explained == set()


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
