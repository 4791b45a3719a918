"""The closed lists: sites, architectures, precisions, ways of packing, schedules."""

from __future__ import annotations

from experiments.engine.config.setting import Choice


def _by_name(*choices: Choice) -> dict[str, Choice]:
    return {choice.name: choice for choice in choices}


SITES = _by_name(
    Choice("resid_pre", "Residual stream before the block", "The hidden state that enters the block."),
    Choice(
        "resid_post", "Residual stream after the block", "The hidden state that leaves the block; the usual choice."
    ),
    Choice("attn_heads", "Attention heads", "The attention heads' outputs side by side, before the output projection."),
    Choice("attn_out", "Attention output", "What the block's attention adds to the residual stream."),
    Choice("mlp_in", "MLP input", "What the block's MLP is given; what a transcoder reads."),
    Choice("mlp_out", "MLP output", "What the block's MLP adds to the residual stream."),
)
ARCHITECTURES = _by_name(
    Choice("topk", "TopK", "Keeps the k strongest features of every token (Gao et al. 2024, arXiv:2406.04093)."),
    Choice(
        "batchtopk",
        "BatchTopK",
        "Keeps k features per token on average, so that a token may have more or fewer (Bussmann et al. 2024, "
        "arXiv:2412.06410).",
    ),
    Choice(
        "matryoshka",
        "Matryoshka BatchTopK",
        "BatchTopK in which every prefix of the features reconstructs, which keeps general features from being split "
        "(Bussmann et al. 2025, arXiv:2503.17547).",
    ),
    Choice(
        "jumprelu",
        "JumpReLU",
        "Every feature learns a threshold of its own; a controller holds the average at k (Rajamanoharan et al. 2024, "
        "arXiv:2407.14435).",
    ),
    Choice("relu", "ReLU + L1", "The first SAEs: the sparsity coefficient weighs an L1 penalty (Bricken et al. 2023)."),
    Choice(
        "gated",
        "Gated",
        "Whether a feature fires and how strongly are decided apart; the sparsity coefficient weighs the gate "
        "(Rajamanoharan et al. 2024, arXiv:2404.16014).",
    ),
)
HOLDS_K = ("topk", "batchtopk", "matryoshka", "jumprelu")
HAS_PENALTY = ("relu", "gated")
# What these add to the squared error is not zero.
HAS_PENALTY_CURVE = ("matryoshka", "relu", "gated")
HAS_AUXILIARY_LOSS = HOLDS_K
RESAMPLES = ("relu", "gated")
FITS_THRESHOLD = ("batchtopk", "matryoshka", "jumprelu")
TRANSCODES = ("topk", "jumprelu")

DTYPES = _by_name(
    Choice("float32", "32 bits", "Exact, and four bytes a weight."),
    Choice("bfloat16", "16 bits, wide range", "Half the memory; what most models were trained in."),
    Choice("float16", "16 bits, fine steps", "Half the memory; large hidden states may overflow."),
)
PRECISIONS = _by_name(
    Choice("auto", "Fastest", "bfloat16 products where the processor is faster at them, sums in float32."),
    Choice("float32", "32 bits", "Everything in float32, which every processor can do and repeat."),
)
PACKINGS = _by_name(
    Choice(
        "across_documents",
        "Across documents",
        "Windows are full: documents follow each other in them, and a long one goes on in the next window.",
    ),
    Choice(
        "one_document",
        "One document per window",
        "Every window begins with a document; what does not fit of it is left out, and a short one is padded.",
    ),
)
SCHEDULES = _by_name(
    Choice("warmup_stable_decay", "Warm-up, stable, decay", "Constant after the warm-up, linear to zero at the end."),
    Choice("constant", "Constant", "Constant after the warm-up."),
    Choice("linear", "Linear decay", "Linear to zero from the end of the warm-up on."),
    Choice("cosine", "Cosine", "Half a cosine to zero from the end of the warm-up on."),
)
