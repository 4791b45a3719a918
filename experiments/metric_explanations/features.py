"""Numbers of the features: how often they fire, and how their directions lie to each other."""

from __future__ import annotations

from experiments.metric_explanations.explanation import HELD_OUT, NO_RANGE, WEIGHTS, Explanation

FEATURES: dict[str, Explanation] = {
    "dead_share": Explanation(
        "Dead features",
        "features that fired on none of the tokens / all features",
        "Features that no longer describe anything. The number of tokens belongs to it: rare features look dead where "
        "few tokens were read.",
        "Near 0. Gao et al. 2024 (arXiv:2406.04093) report 7 % of 16 million features with the auxiliary loss, and up "
        "to 90 % without such means; the demo on the built-in model (docs/builtin.md) has 0 %.",
        tokens=f"{HELD_OUT} The curve counts the last tokens of training instead.",
        elsewhere="SAELens gives frac_alive over 2,048 tokens unless told otherwise, where most features look dead; "
        "SAEBench's script reads about 4.1 million.",
        keys=("dead_tokens",),
    ),
    "density": Explanation(
        "Density distribution",
        "features by share of tokens fired on, on a logarithmic axis",
        "Density is the share of tokens on which a feature fires. Bins are four a decade from 10⁻⁶ to 1, the same "
        "for every experiment; dead features are not in it.",
        "One hump around L0 / features; a second one on the right is of dense features.",
        elsewhere="SAELens and SAEBench give the list of densities; the bins are ours.",
    ),
    "above_1_percent": Explanation(
        "Features above 1 %",
        "features with density above 0.01 / all features",
        "Frequent features, with their share of all firings beside it.",
        NO_RANGE,
        elsewhere="SAEBench gives the same two shares.",
        keys=("above_1_percent_firings",),
    ),
    "above_10_percent": Explanation(
        "Features above 10 %",
        "features with density above 0.1 / all features",
        "Dense features, which seldom mean one thing, with their share of all firings beside it.",
        f"Few: {NO_RANGE}",
        elsewhere="SAEBench gives the same two shares.",
        keys=("above_10_percent_firings",),
    ),
    "consistent_activation": Explanation(
        "Consistent activation",
        "mean over living features of tokens fired on / windows fired in",
        "Whether a feature, once it fires in a window, fires again there: high for topics, near 1 for words.",
        "Neither: it tells the kind of feature.",
        elsewhere="SAEBench gives the ratio of every feature by prompts; ours are windows of the context length.",
    ),
    "encoder_decoder_cosine": Explanation(
        "Encoder-decoder cosine",
        "mean over features of cos(encoder row, decoder row)",
        "Whether a feature is looked for where it is written. None for a transcoder between different widths.",
        f"Above 0. {NO_RANGE}",
        tokens=WEIGHTS,
        elsewhere="SAEBench gives the same by feature.",
    ),
    "decoder_coherence": Explanation(
        "Decoder coherence",
        "mean over features of the largest cosine with another decoder row",
        "How alike the most alike features are; 1 where every feature has a copy. With more than 16,384 features a "
        "sample of them is compared with all.",
        f"Low: splitting and too many features raise it. {NO_RANGE}",
        tokens=WEIGHTS,
        elsewhere="SAEBench gives the largest cosines of encoder and decoder by feature.",
    ),
    "encoder_coherence": Explanation(
        "Encoder coherence",
        "mean over features of the largest cosine with another encoder row",
        "The same for the directions that features are looked for along.",
        f"Low. {NO_RANGE}",
        tokens=WEIGHTS,
        elsewhere="SAEBench gives the largest cosines of encoder and decoder by feature.",
    ),
}
