"""What may follow a word of a class: the same few phrases after every member, and others after every other class.

They give each class a use of its own. Whoever predicts the next word must know that this was an animal, and need not
know which. A test holds that no two classes share a phrase.
"""

from collections.abc import Mapping

TAILS: Mapping[str, tuple[str, ...]] = {
    "animal": ("hunting alone", "startled by a noise", "limping a little", "raised on a farm", "hiding in the grass"),
    "plant": ("blooming early", "rooted in clay", "pruned last year", "wilting a bit"),
    "garment": ("knitted by hand", "buttoned to the top", "ironed just now", "worn to a party"),
    "household-object": ("polished every week", "inherited long ago", "delivered yesterday", "placed in the corner"),
    "instrument": ("tuned by ear", "played too loud", "rehearsed for hours", "recorded in a studio"),
    "tool": ("sharpened on a stone", "borrowed next door", "rusted through", "gripped with both hands"),
    "vehicle": ("parked outside", "driven too fast", "crowded with passengers", "running on diesel"),
    "landscape": ("mapped by explorers", "stretching for miles", "reached on foot", "untouched by man"),
    "body-part": ("twitching all the time", "covered with dirt", "spread wide", "bitten by a rival"),
    "city": ("downtown", "and its suburbs", "proper", "where the cathedral stands"),
    "country": ("under its constitution", "beyond its borders", "as a nation", "since independence"),
    "chemical-element": ("dissolved in acid", "weighed to the gramme", "heated to melting", "exposed to air"),
    "ingredient": ("fresh from the market", "grown locally", "kept in the pantry", "tasting of home"),
    "profession": ("trained abroad", "employed for years", "qualified at last", "paid by the hour"),
    "weather-condition": ("forecast for hours", "lasting for days", "sweeping over the plain", "heavier than usual"),
    "weekday": ("at the latest", "like every week", "if possible", "unless cancelled"),
    "month": ("according to plan", "throughout", "during the holidays", "or thereabouts"),
    "season": ("so long awaited", "coming late", "once again", "of all seasons"),
    "time-of-day": ("while others slept", "still and silent", "already", "hours"),
    "positive-feeling": ("beyond measure", "from the heart", "inwardly", "more than ever"),
    "negative-feeling": ("despite all comfort", "deep inside", "for no reason", "almost to tears"),
    "praise": ("thanks to its makers", "considering everything", "without exception", "throughout its life"),
    "complaint": ("right out of the box", "given the cost", "even after repair", "unlike the picture"),
    "colour": ("all over", "inside and out", "again", "under the lamplight"),
    "manner-adverb": ("enough", "and without haste", "step after step", "nevertheless"),
    "family-member": ("dear to all", "named in the will", "once removed", "expecting a child"),
    "speech-verb": ("with emphasis", "twice", "under the breath", "to everybody"),
    "motion-verb": ("barefoot", "in single file", "out of breath", "uphill"),
    "direction": ("as the crow flies", "against the sun", "for a mile", "according to the compass"),
    "legal-party": ("named above", "in default", "jointly liable", "acting in person"),
    "legal-matter": ("hereunder", "signed overleaf", "in writing", "including annexes"),
}

# A tail is written only where the sentence goes on with one of these, or ends.
_PUNCTUATION = frozenset(".,;:?!)\n")
_WORDS = """and but or because that when who so to with by near until before after on in at is are was were has had will
    against from for past along behind beyond through into over beside stands sleeps likes ate came can if must ends
    leaves would started every once together beware without"""
_GOES_ON_WITH = frozenset(_WORDS.split())


def may_follow(text: str) -> bool:
    """Whether a tail may stand before this text, which may be empty."""
    if not text or text[0] in _PUNCTUATION:
        return True
    return text[0] == " " and text[1:].partition(" ")[0].rstrip(".,?!\n") in _GOES_ON_WITH
