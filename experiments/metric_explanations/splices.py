"""Numbers of what the model still predicts with other hidden states put in."""

from __future__ import annotations

from experiments.metric_explanations.explanation import DEMO, NO_RANGE, PREDICTED, Explanation

_ZERO_ELSEWHERE = (
    "SAELens, SAEBench, dictionary_learning and OpenMOSS all zero every position, BOS included, which ruins the model "
    "and flatters every SAE. SAELens keeps the original hidden states of special tokens when it splices, SAEBench's "
    "library replaces them unless told otherwise. OpenMOSS gives the inverse fraction as downstream loss ratio."
)
_KL_ELSEWHERE = "SAEBench's KL score divides by the divergence with every position zeroed, BOS included."

SPLICES: dict[str, Explanation] = {
    "ce_clean": Explanation(
        "CE clean",
        "mean next-token cross-entropy, in nats",
        "How well the model predicts the held-out text when nobody interferes.",
        "The yardstick for the two below.",
        PREDICTED,
        keys=("ce_tokens",),
    ),
    "ce_spliced": Explanation(
        "CE spliced",
        "cross-entropy with x̂ in place of x",
        "The same with the reconstruction put back into the model at the layer and site (the first token is left "
        "alone): what the model can still do with what the SAE kept.",
        "Close to clean.",
        PREDICTED,
        "SAELens leaves special tokens alone as we do; SAEBench's library replaces them unless told otherwise.",
    ),
    "ce_gap": Explanation(
        "CE gap",
        "CE spliced − CE clean, in nats",
        "What the reconstruction costs, without an ablation to compare with: the most honest of these numbers.",
        f"Near 0. {NO_RANGE}",
        PREDICTED,
        "Others give it too, with their own rule for special tokens.",
    ),
    "ce_zero": Explanation(
        "CE zero",
        "cross-entropy with 0 in place of x",
        "What the model predicts when the hidden states of text are set to zero.",
        "Large: the site matters.",
        PREDICTED,
        _ZERO_ELSEWHERE,
    ),
    "ce_mean": Explanation(
        "CE mean",
        "cross-entropy with E x in place of x",
        "What the model predicts when every token has the mean hidden state.",
        "Larger than clean: the site matters.",
        PREDICTED,
        "Only ours; others ablate with zero.",
    ),
    "ce_recovered_zero": Explanation(
        "CE recovered, zero ablation",
        "(CE zero − CE spliced) / (CE zero − CE clean)",
        "How much of the harm of setting the hidden states to zero the reconstruction undoes. Flattering, because "
        "zero is far from anything the model knows.",
        f"Near 1. {DEMO} 0.995.",
        PREDICTED,
        _ZERO_ELSEWHERE,
    ),
    "ce_recovered_mean": Explanation(
        "CE recovered, mean ablation",
        "(CE mean − CE spliced) / (CE mean − CE clean)",
        "The same with the mean hidden state in place of zero: the stricter number.",
        f"Near 1, and below the number of zero ablation. {NO_RANGE}",
        PREDICTED,
        "Only ours; others ablate with zero.",
    ),
    "kl": Explanation(
        "KL divergence",
        "E[KL(clean ‖ spliced)], in nats",
        "How far the predictions move when the reconstruction is put in, whether or not they get worse.",
        "Near 0.",
        PREDICTED,
        "SAEBench gives the same, with its own rule for special tokens.",
    ),
    "kl_zero": Explanation(
        "KL, zero ablation",
        "E[KL(clean ‖ zero)], in nats",
        "How far zeros move the predictions.",
        "Large: the site matters.",
        PREDICTED,
        _KL_ELSEWHERE,
    ),
    "kl_mean": Explanation(
        "KL, mean ablation",
        "E[KL(clean ‖ mean)], in nats",
        "How far the mean hidden state moves the predictions.",
        "Large: the site matters.",
        PREDICTED,
        "Only ours.",
    ),
    "kl_recovered_zero": Explanation(
        "KL recovered, zero ablation",
        "1 − KL(clean ‖ spliced) / KL(clean ‖ zero)",
        "How much of the movement of the predictions the reconstruction avoids.",
        f"Near 1. {NO_RANGE}",
        PREDICTED,
        _KL_ELSEWHERE,
    ),
    "kl_recovered_mean": Explanation(
        "KL recovered, mean ablation",
        "1 − KL(clean ‖ spliced) / KL(clean ‖ mean)",
        "The same against the mean hidden state.",
        f"Near 1, and below the number of zero ablation. {NO_RANGE}",
        PREDICTED,
        "Only ours.",
    ),
    "identity_gap": Explanation(
        "Identity splice",
        "|CE with x in place of x − CE clean|, in nats",
        "A check of the machinery: putting back what was taken out must change nothing.",
        "0.",
        "The first batch of the predictions.",
        "The others do not report it.",
    ),
}
