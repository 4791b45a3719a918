"""Numbers of planted concepts, and of agreement between seeds."""

from __future__ import annotations

from experiments.metric_explanations.explanation import DEMO, NO_RANGE, PLANTED, WEIGHTS, Explanation

CONCEPTS: dict[str, Explanation] = {
    "concepts_single": Explanation(
        "Planted concepts, one feature",
        "concepts with F1 ≥ 0.8 by their best feature / all concepts",
        "The built-in corpus knows which concepts are in every token. Features and thresholds are chosen on one part "
        "of the held-out text and scored on another.",
        f"{DEMO} 72 %.",
        PLANTED,
        "The others have no text whose concepts are known.",
        ("concepts",),
    ),
    "concepts_set": Explanation(
        "Planted concepts, up to five features",
        "concepts with F1 ≥ 0.8 by the union of at most five features / all concepts",
        "Features split: one concept may be spread over several of them. Chosen greedily on one part of the held-out "
        "text, scored on another.",
        f"{DEMO} 91 %.",
        PLANTED,
        "Only ours.",
    ),
    "probing": Explanation(
        "Sparse probing",
        "accuracy of a logistic regression on k ∈ {1, 2, 5} features, mean over concepts",
        "Whether a concept can be read off a few features as well as off the whole hidden state (dense). Features "
        "are chosen by the difference of their means between carriers of the concept and other tokens. At most 100 "
        "carriers in each half, and as many others: guessing gives 0.5. Concepts with fewer than 10 are skipped.",
        f"k = 1 far above guessing, k = 5 close to the dense probe. {NO_RANGE}",
        PLANTED,
        "SAEBench pools activations over texts of eight data sets (4,000 to fit, 1,000 to test) and probes for the "
        "class of the text; the choice of features and the regression are the same.",
    ),
    "absorption": Explanation(
        "Absorption",
        "fully absorbed tokens / tokens of the parent that its dense probe finds, mean over parents",
        "A concept inside another may silence the other's features: the feature of weekdays does not fire on Monday, "
        "because Monday has one of its own. A token is fully absorbed when all main features of the parent are silent, "
        "and the feature that says most about it on the probe has cosine 0.025 with the probe and carries 0.4 of its "
        "projection. Parents are the planted concepts with their words as children, and broader concepts (a place, a "
        "number of a date) with planted ones as children. Of each concept at most 100 tokens are sampled, so children "
        "that are rare weigh more than in the text.",
        f"Near 0; it rises with sparsity and width, and Matryoshka SAEs are made to lower it. {NO_RANGE}",
        PLANTED,
        "SAEBench asks for the first letter of words, which it says means little below a billion parameters. Rules and "
        "thresholds are those of SAEBench 0.6; its projection is of x, ours of x − b_dec, which is what features "
        "explain.",
    ),
    "absorption_fraction": Explanation(
        "Absorption, fractional",
        "A / (A + M), mean over the tokens of the parent that its dense probe finds, then over parents",
        "A parent's feature may not fall silent but only weaken. M is what the main features carry of the probe's "
        "projection, A what up to three absorbing features (cosine with the probe from 0.1) carry of what M leaves. 0 "
        "where M carries all of it, or the absorbers less than 0.4 of it; 1 where M is nothing.",
        "Near 0, and not much above full absorption.",
        PLANTED,
        "The same as SAEBench 0.6; before that version every other feature counted as absorbing, without a threshold.",
    ),
    "variants": Explanation(
        "Numbers of other tools",
        "as SAELens 6.18, SAEBench, sparsify, dictionary_learning and OpenAI define them",
        "For comparison with what others publish; each is named after whose it is. Asked for by the setting "
        "variants, train --variants or manage.py evaluate EXPERIMENT --variants. saelens_ce_* zeroes every "
        "position, BOS included, and keeps special tokens when it splices; saebench_default_* splices them too.",
        "Equal to ours where the mean is small and batches are large.",
        "The same tokens, in batches of the capture (a few thousand tokens), on which several of them depend.",
        "Other versions of these tools may differ again; newer SAELens has the explained variance of ours.",
    ),
    "seed_stability": Explanation(
        "Seed stability",
        "features with a match of cosine above 0.7 in a twin / features of the larger SAE",
        "Two SAEs that differ in nothing but the seed: decoder rows are matched one to one, the closest pairs first. "
        "Computed by manage.py compare_seeds A B.",
        "High: what is found by one seed alone is no fact about the model. Paulo & Belrose report 0.3 for "
        "131,000 features on Llama 3 8B.",
        WEIGHTS,
        "Paulo & Belrose 2025 (arXiv:2501.16615) match by the Hungarian method and ask for encoder and decoder.",
    ),
}
