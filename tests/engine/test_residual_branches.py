"""Sites of blocks that no family in `tiny_models` has: what can be told of them, and what cannot."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from experiments.engine.residual_branches import Site, find_sites

WIDTH, HEADS = 16, 24


class Attention(nn.Module):
    """Mixes the tokens; with `out`, through an output projection."""

    def __init__(self, out: bool = True) -> None:
        super().__init__()
        self.values = nn.Linear(WIDTH, HEADS if out else WIDTH)
        self.out = nn.Linear(HEADS, WIDTH) if out else nn.Identity()

    def forward(self, states: Tensor) -> Tensor:
        mixed: Tensor = self.out(self.values(states).cumsum(1))
        return mixed


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 40), nn.Linear(40, WIDTH)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.down(self.up(states).relu())
        return out


class Block(nn.Module):
    """Attention and then the MLP, each behind a norm."""

    def __init__(self, attention: nn.Module | None = None) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention, self.mlp = attention or Attention(), Mlp()

    def forward(self, states: Tensor) -> Tensor:
        states = states + self.attention(self.first_norm(states))
        return states + self.mlp(self.second_norm(states))


class MlpFirst(Block):
    """Both at once, the MLP called before the attention."""

    def forward(self, states: Tensor) -> Tensor:
        normed = self.first_norm(states)
        mlp = self.mlp(normed)
        return states + self.attention(normed) + mlp


class OpenGate(Block):
    """The two projections of a gated MLP stand in the block itself, so no one module is given what both read."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(WIDTH, 40), nn.Linear(WIDTH, 40), nn.Linear(40, WIDTH)

    def forward(self, states: Tensor) -> Tensor:
        states = states + self.attention(self.first_norm(states))
        normed = self.second_norm(states)
        return states + self.down(self.gate(normed).relu() * self.up(normed))


def sites_of(block: nn.Module) -> dict[str, Site]:
    torch.manual_seed(0)
    states = torch.randn(1, 6, WIDTH)
    return find_sites(block, lambda: block(states))


def test_every_site_of_a_plain_block_is_found() -> None:
    block = Block()
    sites = sites_of(block)
    assert {name: (site.tap.module, site.tap.of_input, site.width) for name, site in sites.items()} == {
        "attn_out": (block.attention, False, WIDTH),
        "attn_heads": (block.attention.out, True, HEADS),
        "mlp_in": (block.mlp, True, WIDTH),
        "mlp_out": (block.mlp, False, WIDTH),
    }


def test_branches_that_run_in_the_other_order_keep_their_names() -> None:
    block = MlpFirst()
    sites = sites_of(block)
    assert sites["attn_out"].tap.module is block.attention
    assert sites["attn_heads"].tap.module is block.attention.out
    assert sites["mlp_in"].tap.module is sites["mlp_out"].tap.module is block.mlp


def test_attention_without_an_output_projection_has_no_heads_to_read() -> None:
    assert set(sites_of(Block(Attention(out=False)))) == {"attn_out", "mlp_in", "mlp_out"}


def test_mlp_that_is_read_in_two_places_has_no_input_to_replace() -> None:
    assert set(sites_of(OpenGate())) == {"attn_out", "attn_heads", "mlp_out"}
