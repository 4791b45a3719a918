"""What stands behind each metric's name: its formula, what it was measured on, and what good looks like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """The words behind a metric's name, as the page shows them on demand."""

    title: str
    formula: str
    meaning: str
    good: str


EXPLANATIONS: dict[str, Explanation] = {
    "loss": Explanation(
        "Loss",
        "E‖x − x̂‖² + auxiliary loss",
        "Squared error of the reconstruction, with hidden states scaled to unit mean square, plus the auxiliary loss "
        "that revives dead features. Measured on the training batch.",
        "Falls quickly, then flattens.",
    ),
    "explained_variance": Explanation(
        "Explained variance",
        "1 − E‖x − x̂‖² / (E‖x‖² − ‖E x‖²)",
        "The share of the hidden states' variance that the reconstruction keeps.",
        "Near 1. Below 0.7 much of the model's state is missing.",
    ),
    "l0": Explanation(
        "L0",
        "mean number of features that fire on a token",
        "How many features it takes to describe one token.",
        "What was asked for: k with TopK, about k with BatchTopK, Matryoshka and JumpReLU.",
    ),
    "dead_share": Explanation(
        "Dead features",
        "features that fired on none of the last tokens / all features",
        "Features that no longer describe anything.",
        "Under 5 %. Above 20 % fewer features would do the same.",
    ),
    "penalty": Explanation(
        "Penalty",
        "what the architecture adds to E‖x − x̂‖²",
        "ReLU: the sparsity coefficient times the L1 norm of the activations. Gated: that of the gate, and the error "
        "of what the gate alone reconstructs. Matryoshka: the errors of what the shorter prefixes reconstruct.",
        "Falls, and stays well below the loss of the first steps.",
    ),
    "cosine": Explanation(
        "Cosine",
        "E[x · x̂ / (‖x‖ ‖x̂‖)]",
        "Whether the reconstruction points the way the hidden state does.",
        "Near 1.",
    ),
    "l2_ratio": Explanation(
        "L2 ratio",
        "E[‖x̂‖ / ‖x‖]",
        "Whether the reconstruction is as long as the hidden state; sparsity penalties shrink it.",
        "Near 1.",
    ),
    "ce_clean": Explanation(
        "CE clean",
        "mean next-token cross-entropy, in nats",
        "How well the model predicts the held-out text when nobody interferes.",
        "The yardstick for the two below.",
    ),
    "ce_spliced": Explanation(
        "CE spliced",
        "cross-entropy with x̂ in place of x",
        "The same with the reconstruction put back into the model at the layer and site (the first token is left "
        "alone): what the model can still do with what the SAE kept.",
        "Close to clean.",
    ),
    "ce_recovered_zero": Explanation(
        "CE recovered, zero ablation",
        "(CE zero − CE spliced) / (CE zero − CE clean)",
        "How much of the harm of setting the hidden states to zero the reconstruction undoes. Flattering, because "
        "zero is far from anything the model knows.",
        "Above 0.97.",
    ),
    "ce_recovered_mean": Explanation(
        "CE recovered, mean ablation",
        "(CE mean − CE spliced) / (CE mean − CE clean)",
        "The same with the mean hidden state in place of zero: the stricter number.",
        "Above 0.9.",
    ),
    "kl": Explanation(
        "KL divergence",
        "E[KL(clean ‖ spliced)], in nats",
        "How far the predictions move when the reconstruction is put in.",
        "Near 0.",
    ),
    "pca_explained_variance": Explanation(
        "PCA at equal rank",
        "explained variance of the k leading principal components",
        "What k fixed directions would explain: a sanity check, as an SAE may choose k new ones for every token.",
        "Clearly below the SAE's explained variance.",
    ),
    "concepts_single": Explanation(
        "Planted concepts, one feature",
        "concepts with F1 ≥ 0.8 by their best feature / all concepts",
        "The built-in corpus knows which concepts are in every token. Features and thresholds are chosen on one part "
        "of the held-out text and scored on another.",
        "Above 60 %.",
    ),
    "concepts_set": Explanation(
        "Planted concepts, up to five features",
        "concepts with F1 ≥ 0.8 by the union of at most five features / all concepts",
        "Features split: one concept may be spread over several of them. Chosen greedily on one part of the held-out "
        "text, scored on another.",
        "Above 85 %.",
    ),
}
