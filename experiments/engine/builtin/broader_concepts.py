"""Concepts that contain planted ones: a token carries a broader concept when it carries any of its members.

Nothing is planted for them. They exist so that absorption can be asked for: does the feature of "a number" fall silent
where a feature of "a year" takes over?
"""

from collections.abc import Mapping

BROADER_CONCEPTS: Mapping[str, tuple[str, ...]] = {
    "name": ("person-name", "family-name"),
    "place": ("city", "country", "team-town"),
    "feeling": ("positive-feeling", "negative-feeling"),
    "judgement": ("praise", "complaint"),
    "living-thing": ("animal", "plant"),
    "thing": ("garment", "household-object", "instrument", "vehicle", "tool"),
    "calendar-word": ("weekday", "month", "season"),
    "date-number": ("century", "year-of-century", "day-of-month", "iso-month", "iso-day"),
    "clock-number": ("hour", "minute"),
    "sum-number": ("first-operand", "second-operand", "result"),
    "money-number": ("price-whole", "price-cents"),
    "measured-number": ("quantity", "duration", "temperature", "speed", "percentage"),
    "score": ("first-score", "second-score"),
    "verb": ("speech-verb", "motion-verb", "cooking-verb"),
    "french-word": ("french-noun", "french-verb"),
    "german-word": ("german-noun", "german-verb"),
    "spanish-word": ("spanish-noun", "spanish-verb"),
    "quotation-mark": ("opening-quotation", "closing-quotation"),
    "legal-word": ("legal-party", "legal-matter", "legal-modal"),
    "address-part": ("url-scheme", "host-name", "domain-ending", "directory", "file-extension", "mail-account"),
}
