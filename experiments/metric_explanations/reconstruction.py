"""Numbers of the reconstruction, and of training."""

from __future__ import annotations

from experiments.metric_explanations.explanation import DEMO, HELD_OUT, Explanation

RECONSTRUCTION: dict[str, Explanation] = {
    "loss": Explanation(
        "Loss",
        "E‖x − x̂‖² + auxiliary loss",
        "Squared error of the reconstruction, with hidden states scaled to unit mean square, plus the auxiliary loss "
        "that revives dead features.",
        "Falls quickly, then flattens.",
        tokens="The training batch.",
        elsewhere="Every tool scales its loss in its own way; losses of different tools cannot be compared.",
    ),
    "penalty": Explanation(
        "Penalty",
        "what the architecture adds to E‖x − x̂‖²",
        "ReLU: the sparsity coefficient times the L1 norm of the activations. Gated: that of the gate, and the error "
        "of what the gate alone reconstructs. Matryoshka: the errors of what the shorter prefixes reconstruct.",
        "Falls, and stays well below the loss of the first steps.",
        tokens="The training batch.",
        elsewhere="SAELens and dictionary_learning log it too; a coefficient means as much as the scale of its inputs.",
    ),
    "explained_variance": Explanation(
        "Explained variance",
        "1 − E‖x − x̂‖² / (E‖x‖² − ‖E x‖²)",
        "The share of the hidden states' variance that the reconstruction keeps. E is over all tokens at once, summed "
        "in float64, and E x is a vector.",
        f"Near 1, and clearly above PCA at equal rank. {DEMO} 0.91 with five features per token.",
        elsewhere="SAELens up to 6.18 and SAEBench 0.6 subtract the square of a scalar instead of ‖E x‖², so that the "
        "value depends on scale and offset. SAEBench's paper averages 1 − ‖x − x̂‖² / ‖x − x̄‖² over tokens, with the "
        "mean of the batch. dictionary_learning divides the variance of x − x̂, which forgives a constant error.",
    ),
    "fvu": Explanation(
        "Unexplained variance",
        "1 − explained variance",
        "The fraction of variance unexplained (FVU): the same fact seen from the other side.",
        "Near 0.",
        elsewhere="sparsify centres every batch on its own mean. OpenAI's normalised MSE divides by ‖x‖² without "
        "centring, which is smaller wherever the mean is large.",
    ),
    "mse": Explanation(
        "Mean squared error",
        "E‖x − x̂‖²",
        "Squared error, summed over the dimensions of the hidden state and averaged over tokens.",
        "Small beside E‖x‖²; to be compared only at one place of one model.",
        elsewhere="SAEBench and older SAELens divide once more by the number of tokens in the batch, so that it moves "
        "with the batch size; others average over dimensions too.",
    ),
    "l0": Explanation(
        "L0",
        "mean number of features that fire on a token",
        "How many features it takes to describe one token.",
        "What was asked for: k with TopK.",
    ),
    "l1": Explanation(
        "L1",
        "E Σ|f|",
        "The sum of a token's activations, which an L1 penalty shrinks. Decoder rows have length one, so it is in the "
        "units of the hidden state.",
        "Depends on the model's scale: compare SAEs of one place.",
        elsewhere="Tools without unit decoder rows give a number that changes when weights are rescaled.",
    ),
    "cosine": Explanation(
        "Cosine",
        "E[x · x̂ / (‖x‖ ‖x̂‖)]",
        "Whether the reconstruction points the way the hidden state does.",
        "Near 1. A large mean flatters it: see explained variance.",
    ),
    "l2_ratio": Explanation(
        "L2 ratio",
        "E[‖x̂‖ / ‖x‖]",
        "Whether the reconstruction is as long as the hidden state; sparsity penalties shrink it.",
        "Near 1.",
    ),
    "relative_reconstruction_bias": Explanation(
        "Reconstruction bias",
        "E‖x̂‖² / E⟨x, x̂⟩",
        "Whether another factor on the reconstruction would be better: below 1 it is shrunk, above 1 too long.",
        "1: what is below is shrinkage, as an L1 penalty causes (Wright & Sharkey 2024).",
        elsewhere="SAEBench takes the same ratio of means over batches.",
    ),
    "pca_explained_variance": Explanation(
        "PCA at equal rank",
        "explained variance of the n leading principal components, n the measured L0, rounded",
        "What as many fixed directions would explain as features fire on a token: a sanity check, as an SAE may choose "
        "new ones for every token. The number is the measured L0, whatever the architecture was asked for. The "
        "components are fitted on the very tokens they are scored on, which flatters PCA.",
        "Clearly below the SAE's explained variance.",
        elsewhere="SAEBench compares with PCA on some tasks.",
    ),
    "held_out_tokens": Explanation(
        "Held-out tokens",
        "tokens that the numbers above are of",
        "Tokens of documents that the SAE was never trained on. Outliers (a norm above ten times the median, as "
        "attention sinks have) are left out and counted.",
        "As many as make the intervals narrow beside the difference that is claimed; the default is 100,000.",
        tokens=HELD_OUT,
        elsewhere="Others drop special tokens by their id, which fails where one id serves as several, and keep "
        "outliers, which then rule every average.",
        keys=("outliers_left_out",),
    ),
    "intervals": Explanation(
        "95% intervals",
        "2.5th and 97.5th percentile of 1,000 resamples of the documents",
        "How much a number would move with other documents. Documents are drawn again, not tokens, because tokens of "
        "one document are alike; beyond 1,024 documents, groups of them. Numbers of the weights, and counts over all "
        "tokens (dead features, densities), have none. It does not cover other seeds: see seed stability.",
        "Narrow beside the difference that is claimed.",
        tokens="Those of the number.",
        elsewhere="The others give point estimates.",
    ),
}
