"""Numbers of planted concepts, and of agreement between seeds."""

from __future__ import annotations

from experiments.metric_explanations.explanation import PLANTED, WEIGHTS, Explanation

CONCEPTS: dict[str, Explanation] = {
    "concepts_single": Explanation(
        "Planted concepts, one feature",
        "concepts with F1 ≥ 0.8 by their best feature / all concepts",
        "The built-in corpus knows which concepts are in every token. Features and thresholds are chosen on one part "
        "of the held-out text and scored on another.",
        "Above 60 %.",
        PLANTED,
        "The others have no text whose concepts are known.",
        ("concepts",),
    ),
    "concepts_set": Explanation(
        "Planted concepts, up to five features",
        "concepts with F1 ≥ 0.8 by the union of at most five features / all concepts",
        "Features split: one concept may be spread over several of them. Chosen greedily on one part of the held-out "
        "text, scored on another.",
        "Above 85 %.",
        PLANTED,
        "Only ours.",
    ),
    "probing": Explanation(
        "Sparse probing",
        "accuracy of a logistic regression on k ∈ {1, 2, 5} features, mean over concepts",
        "Whether a concept can be read off a few features as well as off the whole hidden state (dense). Features "
        "are chosen by the difference of their means between carriers of the concept and other tokens. At most 100 "
        "carriers in each half, and as many others: guessing gives 0.5. Concepts with fewer than 10 are skipped.",
        "k = 1 above 0.85, k = 5 close to the dense probe.",
        PLANTED,
        "SAEBench pools activations over texts of eight data sets (4,000 to fit, 1,000 to test) and probes for the "
        "class of the text; the choice of features and the regression are the same.",
    ),
    "absorption": Explanation(
        "Absorption",
        "absorbed tokens of the child / tokens of the child that the parent's dense probe finds, mean over hierarchies",
        "A concept that lies inside another (its tokens carry both) may silence the parent's features. A token is "
        "absorbed when all main features of the parent are silent and one other feature carries 0.4 of the probe's "
        "projection. Hierarchies are read off the text: 99 % of the child's tokens carry the parent.",
        "Near 0; it rises with sparsity and width. Matryoshka SAEs are made to lower it.",
        PLANTED,
        "SAEBench asks for the first letter of words, which means little below a billion parameters, and gives a "
        "fractional score beside this one. Its projection is of x, ours of x − b_dec, which is what features explain.",
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
        "Above 0.5; what is found by one seed alone is no fact about the model.",
        WEIGHTS,
        "Paulo & Belrose 2025 (arXiv:2501.16615) match by the Hungarian method and ask for encoder and decoder.",
    ),
}
