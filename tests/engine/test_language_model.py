"""Hidden states, splices and logits of tiny models, checked against what transformers itself returns."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.engine.config import SITES, Place
from experiments.engine.language_model import LanguageModel, ModelRefused, Splice, next_token_losses
from experiments.engine.model_loading import load_language_model
from tests.engine.tiny_models import ENCODERS, FAMILIES, LAYERS, VOCABULARY, WIDTH, save_tiny_model

# Every family, and the other arrangements of a block that its config can ask for.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    **{family: (family, {}) for family in FAMILIES},
    "gpt_neox, MLP after attention": ("gpt_neox", {"use_parallel_residual": False}),
    "falcon, MLP after attention": ("falcon", {"parallel_attn": False}),
    "falcon, two norms": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "qwen3, wide heads": ("qwen3", {"head_dim": 16}),
    "gemma3, wide heads": ("gemma3", {"head_dim": 16}),
}
# Blocks that add both branches to what enters them without a norm around the sum.
PLAIN_SUMS = sorted(set(MODELS) - {"bert", "roberta"})
# Blocks with a norm between the attention's output projection and the residual stream.
NORMED_AFTER = {"gemma2", "gemma3", "gemma3, wide heads"}

# family -> (the attention's output projection, what is given the MLP's input), by the names that the family uses
READERS = {
    "gpt2": ("attn.c_proj", "mlp.c_fc"),
    "gpt_neox": ("attention.dense", "mlp.dense_h_to_4h"),
    "llama": ("self_attn.o_proj", "mlp.gate_proj"),
    "opt": ("self_attn.out_proj", "fc1"),
    "bert": ("attention.output.dense", "intermediate.dense"),
    "mistral": ("self_attn.o_proj", "mlp.up_proj"),
    "qwen2": ("self_attn.o_proj", "mlp.gate_proj"),
    "qwen3": ("self_attn.o_proj", "mlp.up_proj"),
    "gemma2": ("self_attn.o_proj", "mlp.gate_proj"),
    "gemma3": ("self_attn.o_proj", "mlp.up_proj"),
    "phi": ("self_attn.dense", "mlp.fc1"),
    "phi3": ("self_attn.o_proj", "mlp.gate_up_proj"),
    "falcon": ("self_attention.dense", "mlp.dense_h_to_4h"),
    "bloom": ("self_attention.dense", "mlp.dense_h_to_4h"),
    "roberta": ("attention.output.dense", "intermediate.dense"),
    "modernbert": ("attn.Wo", "mlp.Wi"),
}


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """tiny_model(name) is that one of MODELS, loaded once for this module."""

    @cache
    def load(name: str) -> LanguageModel:
        family, settings = MODELS[name]
        return load_language_model(save_tiny_model(tmp_path_factory.mktemp(family), family, **settings))

    return load


def some_tokens(batch: int = 2, length: int = 10) -> Tensor:
    return torch.randint(10, 200, (batch, length), generator=torch.Generator().manual_seed(1))


def reference_states(model: LanguageModel, tokens: Tensor) -> tuple[Tensor, ...]:
    with torch.no_grad():
        states: tuple[Tensor, ...] = model._module(input_ids=tokens, output_hidden_states=True).hidden_states
    return states


def states_at(model: LanguageModel, tokens: Any, layer: int, *sites: str) -> list[Tensor]:
    return model.hidden_states(tokens, [Place(layer, site) for site in sites])


@pytest.mark.parametrize("name", MODELS)
def test_residual_stream_is_the_one_that_transformers_returns(tiny_model: Any, name: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    reference = reference_states(model, tokens)
    assert (model.layers, model.width) == (LAYERS, WIDTH)
    for layer in range(LAYERS):
        before, after = states_at(model, tokens, layer, "resid_pre", "resid_post")
        assert torch.equal(before, reference[layer])
        if layer < LAYERS - 1:  # what transformers returns last has passed the final norm
            assert torch.equal(after, reference[layer + 1])


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"bert", "roberta"}))  # they have no norm behind the last block
def test_last_residual_stream_is_taken_before_the_final_norm(tiny_model: Any, name: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    (last,) = states_at(model, tokens, LAYERS - 1, "resid_post")
    assert not torch.allclose(last, reference_states(model, tokens)[-1])
    from_it = model.logits(tokens, Splice(LAYERS - 1, "resid_post", lambda _: last))
    assert torch.equal(from_it, model.logits(tokens))


@pytest.mark.parametrize("name", MODELS)
def test_all_places_in_one_forward_are_what_each_is_alone(tiny_model: Any, name: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    places = [Place(layer, site) for layer in reversed(range(LAYERS)) for site in SITES]
    together = model.hidden_states(tokens, [*places, places[0]])
    assert torch.equal(together[-1], together[0])
    for place, states in zip(places, together, strict=False):
        (alone,) = model.hidden_states(tokens, [place])
        assert torch.equal(states, alone), place
        assert states.shape == (2, 10, model.width_of(place))


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_is_not_read(tiny_model: Any, family: str) -> None:
    model, tokens, places = tiny_model(family), some_tokens(), [Place(1, "resid_post")]
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, 6:] = False
    (padded,) = model.hidden_states(tokens, places, mask)
    torch.testing.assert_close(padded[1, :6], model.hidden_states(tokens[1:, :6], places)[0][0])
    torch.testing.assert_close(padded[0], model.hidden_states(tokens, places)[0][0])
    torch.testing.assert_close(model.logits(tokens, None, mask)[1, :6], model.logits(tokens[1:, :6])[0])


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", MODELS)
def test_identity_splice_leaves_logits_as_they_are(tiny_model: Any, name: str, site: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    clean = model.logits(tokens)
    for layer in range(LAYERS):
        assert torch.equal(model.logits(tokens, Splice(layer, site, lambda states: states.clone())), clean)
        assert not torch.equal(model.logits(tokens, Splice(layer, site, torch.zeros_like)), clean)


@pytest.mark.parametrize("name", PLAIN_SUMS)
def test_attention_and_mlp_account_for_what_a_block_adds(tiny_model: Any, name: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    before, attention, mlp, after = states_at(model, tokens, 1, "resid_pre", "attn_out", "mlp_out", "resid_post")
    torch.testing.assert_close(before + attention + mlp, after)
    assert min(attention.norm(), mlp.norm()) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_heads_and_mlp_input_are_what_the_right_modules_are_given(tiny_model: Any, name: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    block = model.tap(Place(1, "resid_post")).module
    given: list[Tensor] = []
    for path in READERS[MODELS[name][0]]:
        handle = block.get_submodule(path).register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].clone()))
        model.logits(tokens)
        handle.remove()
    found = states_at(model, tokens, 1, "attn_heads", "mlp_in")
    for states, expected in zip(found, given, strict=True):
        assert torch.equal(states, expected.reshape(states.shape))


@pytest.mark.parametrize("name", sorted(set(MODELS) - NORMED_AFTER))
def test_heads_through_the_output_projection_are_the_attention_output(tiny_model: Any, name: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    heads, attention = states_at(model, tokens, 1, "attn_heads", "attn_out")
    projection = model.tap(Place(1, "attn_heads")).module
    with torch.no_grad():
        torch.testing.assert_close(projection(heads), attention)


@pytest.mark.parametrize("name", ["qwen3, wide heads", "gemma3, wide heads"])
def test_heads_can_be_wider_than_the_residual_stream(tiny_model: Any, name: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    assert [model.width_of(Place(1, site)) for site in SITES] == [WIDTH, WIDTH, 64, WIDTH, WIDTH, WIDTH]
    heads, mlp = states_at(model, tokens, 1, "attn_heads", "mlp_out")
    assert (heads.shape[-1], mlp.shape[-1]) == (64, WIDTH)


def test_sites_are_found_before_any_of_them_is_visited(tmp_path: Path) -> None:
    """Finding a site runs the model, which must not pass for the text."""
    model, tokens = load_language_model(save_tiny_model(tmp_path, "gpt2")), some_tokens()
    spliced = model.logits(tokens, Splice(2, "mlp_out", torch.clone, reads="attn_out"))
    found = model.hidden_states(tokens, [Place(layer, site) for layer in range(LAYERS) for site in SITES])
    assert spliced.shape[:2] == (2, 10)
    assert {states.shape[:2] for states in found} == {(2, 10)}


def test_attention_of_a_post_norm_block_is_taken_before_its_norm(tiny_model: Any) -> None:
    model, tokens = tiny_model("bert"), some_tokens()
    block = model._module.bert.encoder.layer[1]
    before, attention, mlp, after = states_at(model, tokens, 1, "resid_pre", "attn_out", "mlp_out", "resid_post")
    middle = block.attention.output.LayerNorm(before + attention)
    torch.testing.assert_close(block.output.LayerNorm(middle + mlp), after)


@pytest.mark.parametrize("site", SITES)
def test_forward_stops_at_the_deepest_site(tiny_model: Any, site: str) -> None:
    model, tokens = tiny_model("llama"), some_tokens()
    places = [Place(1, site), Place(0, "resid_post")]
    entered: list[int] = []
    handles = [
        block.register_forward_pre_hook(lambda *_, layer=layer: entered.append(layer))
        for layer, block in enumerate(model._module.model.layers)
    ]
    model.tap(places[0])  # finding the site takes a whole forward, once
    entered.clear()
    model.hidden_states(tokens, places)
    for handle in handles:
        handle.remove()
    assert entered == [0, 1]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_stopping_early_gives_what_the_whole_forward_has(tiny_model: Any, family: str, site: str) -> None:
    model, tokens = tiny_model(family), some_tokens()
    seen: list[Tensor] = []

    def watch(states: Tensor) -> Tensor:
        seen.append(states.clone())
        return states

    model.logits(tokens, Splice(1, site, watch))
    assert torch.equal(*states_at(model, tokens, 1, site), seen[0])


def test_splice_keeps_the_positions_it_is_not_for(tiny_model: Any) -> None:
    model, tokens = tiny_model("gpt2"), some_tokens()
    where = torch.zeros_like(tokens, dtype=torch.bool)
    where[:, 6:] = True
    clean, spliced = model.logits(tokens), model.logits(tokens, Splice(1, "resid_post", torch.zeros_like, where))
    torch.testing.assert_close(spliced[:, :6], clean[:, :6])
    assert not torch.isclose(spliced[:, 6:], clean[:, 6:]).all(-1).any()


def test_splice_can_be_computed_from_an_earlier_site(tiny_model: Any) -> None:
    model, tokens = tiny_model("falcon"), some_tokens()
    (before,) = states_at(model, tokens, 1, "resid_pre")
    expected = model.logits(tokens, Splice(1, "mlp_out", lambda _: before.flip(-1)))
    spliced = model.logits(tokens, Splice(1, "mlp_out", lambda states: states.flip(-1), reads="resid_pre"))
    assert torch.equal(spliced, expected)
    assert not torch.equal(spliced, model.logits(tokens))


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "falcon", "bert", "modernbert", "qwen3, wide heads"])
def test_perfect_transcoder_leaves_logits_as_they_are(tiny_model: Any, name: str) -> None:
    """It reads what the MLP is given and replaces what the MLP adds: with the same, by whatever it reads."""
    model, tokens = tiny_model(name), some_tokens()
    mlp_in, mlp_out = states_at(model, tokens, 1, "mlp_in", "mlp_out")
    rows = zip(mlp_in.flatten(0, 1).tolist(), mlp_out.flatten(0, 1), strict=True)
    answers = {tuple(read): answer for read, answer in rows}

    def transcode(states: Tensor) -> Tensor:
        return torch.stack([answers[tuple(read)] for read in states.flatten(0, 1).tolist()]).view_as(states)

    assert torch.equal(model.logits(tokens, Splice(1, "mlp_out", transcode, reads="mlp_in")), model.logits(tokens))


@pytest.mark.parametrize("site", ["resid_pre", "resid_post", "mlp_out"])
@pytest.mark.parametrize("name", MODELS)
def test_a_forward_goes_on_from_the_spliced_block_with_the_same_bits(tiny_model: Any, name: str, site: str) -> None:
    model, tokens = tiny_model(name), some_tokens()
    place, mask = Place(1, site), torch.ones(tokens.shape, dtype=torch.bool)
    memory = model.memory_before(place, place)
    run: list[int] = []
    handle = model._blocks.blocks[0].register_forward_pre_hook(lambda *_: run.append(0))
    handle_of_part = next(model._blocks.blocks[0].children()).register_forward_pre_hook(lambda *_: run.append(1))
    for splice in (None, Splice(1, site, torch.zeros_like), None):
        continued = model.logits(tokens, splice, mask, memory)
        assert torch.equal(continued, model.logits(tokens, splice, mask))
    handle.remove()
    handle_of_part.remove()
    assert run.count(1) == 1 + 3  # once to remember, and in the three forwards without a memory


def test_a_model_that_keeps_something_beside_the_stream_is_read_from_the_start(tmp_path: Path) -> None:
    model, tokens, place = (
        load_language_model(save_tiny_model(tmp_path, "llama")),
        some_tokens(),
        Place(1, "resid_post"),
    )
    first, _, last = model._blocks.blocks
    kept: list[float] = []
    next(first.children()).register_forward_pre_hook(lambda *_: kept.append(1.0))
    last.register_forward_hook(lambda _module, _arguments, output: output + (kept.pop() if kept else 0.0))
    memory = model.memory_before(place, place)
    for _ in range(2):
        assert torch.equal(model.logits(tokens, memory=memory), model.logits(tokens))


def test_splice_from_a_later_site_is_refused(tiny_model: Any) -> None:
    with pytest.raises(ModelRefused, match="mlp_out comes after attn_out in this model"):
        tiny_model("gpt2").logits(some_tokens(), Splice(1, "attn_out", torch.clone, reads="mlp_out"))


def test_batch_of_windows_gives_the_same_as_each_alone(tiny_model: Any) -> None:
    model, tokens = tiny_model("llama"), some_tokens(3)
    (together,) = states_at(model, tokens.numpy().astype(np.int32), 1, "resid_post")
    alone = [states_at(model, row[None], 1, "resid_post")[0] for row in tokens]
    torch.testing.assert_close(together, torch.cat(alone))


def test_next_token_losses_are_those_of_the_model_itself(tiny_model: Any) -> None:
    model, tokens = tiny_model("opt"), some_tokens()
    losses = next_token_losses(model.logits(tokens), tokens)
    assert losses.shape == (2, 9)
    with torch.no_grad():
        torch.testing.assert_close(losses.mean(), model._module(input_ids=tokens, labels=tokens).loss)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ENCODERS])
def test_unembedding_predicts_what_a_direction_does_to_the_logits(tiny_model: Any, family: str) -> None:
    """A last hidden state that is a direction alone gives its logits, up to the final norm's scale and constant."""
    model, tokens = tiny_model(family), some_tokens(1, 2)
    unembedding = model.unembedding(Place(LAYERS - 1, "resid_post"))
    directions = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(2))

    def logits_of(direction: Tensor) -> Tensor:
        replace = lambda states: (1e3 * direction).expand_as(states)  # noqa: E731 - large: the norm's epsilon vanishes
        return uncapped(model.logits(tokens, Splice(LAYERS - 1, "resid_post", replace))[0, 0], model)

    for direction in directions:
        lens = unembedding @ direction
        both_ways = (logits_of(direction) - logits_of(-direction)) / 2  # the norm's bias is gone
        assert torch.corrcoef(torch.stack([lens, both_ways]))[0, 1] > 0.9999


def uncapped(logits: Tensor, model: LanguageModel) -> Tensor:
    cap = getattr(model._module.config, "final_logit_softcapping", None)
    return logits if cap is None else torch.atanh(logits.double() / cap).float()


@pytest.mark.parametrize(("name", "projection"), [("gpt2", "attn.c_proj"), ("qwen3, wide heads", "self_attn.o_proj")])
def test_unembedding_of_the_heads_goes_through_the_output_projection(
    tiny_model: Any, name: str, projection: str
) -> None:
    model = tiny_model(name)
    weight = model.tap(Place(1, "resid_post")).module.get_submodule(projection).weight
    weight = weight.T if name == "gpt2" else weight  # Conv1D keeps it the other way round
    heads, stream = (model.unembedding(Place(1, site)) for site in ("attn_heads", "attn_out"))
    torch.testing.assert_close(heads, stream @ weight)
    assert heads.shape == (VOCABULARY, model.width_of(Place(1, "attn_heads")))


@pytest.mark.parametrize("place", [Place(1, "mlp_in"), Place(1, "attn_heads")])
def test_what_does_not_reach_the_stream_linearly_has_no_unembedding(tiny_model: Any, place: Place) -> None:
    assert tiny_model("gemma2").unembedding(place) is None


def test_encoders_have_no_single_unembedding(tiny_model: Any) -> None:
    assert tiny_model("bert").unembedding(Place(1, "resid_post")) is None
    assert tiny_model("bert").kind == "encoder"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_finds_the_same_sites(tiny_model: Any, tmp_path: Path, family: str, dtype: str) -> None:
    model, tokens = load_language_model(save_tiny_model(tmp_path, family), dtype=dtype), some_tokens()
    full, clean = tiny_model(family), model.logits(tokens)
    for site, states in zip(SITES, states_at(model, tokens, 1, *SITES), strict=True):
        assert states.dtype == torch.float32
        (exact,) = states_at(full, tokens, 1, site)
        assert torch.nn.functional.cosine_similarity(states, exact, dim=-1).min() > 0.98, site
        assert torch.equal(model.logits(tokens, Splice(1, site, torch.clone)), clean), site
    assert clean.dtype == torch.float32


@pytest.mark.parametrize("layer", [-1, LAYERS])
def test_layer_that_does_not_exist_is_refused(tiny_model: Any, layer: int) -> None:
    with pytest.raises(ModelRefused, match=f"layers 0 to 2, so layer {layer} does not exist"):
        states_at(tiny_model("gpt2"), some_tokens(), layer, "resid_post")


def test_site_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    """Granite multiplies what its branches add, so no module's output is what reaches the stream."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GraniteConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        residual_multiplier=0.2,
    )  # fmt: skip
    save_tiny_model(tmp_path, "llama")
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = load_language_model(tmp_path)
    assert states_at(model, some_tokens(), 1, "resid_post")[0].shape == (2, 10, 32)
    with pytest.raises(ModelRefused, match="mlp_out"):
        states_at(model, some_tokens(), 1, "mlp_out")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = load_language_model(save_tiny_model(tmp_path, "gpt2"))
    model._module.transformer.wte.weight.data[15] = torch.inf
    with pytest.raises(ModelRefused, match="not finite"):
        states_at(model, torch.tensor([[15, 16]]), 1, "resid_post")
