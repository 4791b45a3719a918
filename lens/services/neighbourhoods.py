"""The features that fire most on a text that was read: a neighbourhood of the gallery, `analysis` in its address."""

from __future__ import annotations

from uuid import UUID

from features.services.gallery import CLOSEST_AT_MOST, Neighbourhood
from latentlens.lib.problems import Conflict, NotFound, refused_field
from lens.models import Analysis
from lens.services.analyses import find_analysis
from lens.services.readings import reading_of

WORDS_SHOWN = 60


def strongest_on_text(experiment_id: int, analysis_id: UUID) -> Neighbourhood:
    """Its features by their largest activation, at most 200. Raises `Refused`, or `Conflict` until it has been read."""
    try:
        analysis = find_analysis(analysis_id)
    except NotFound as missing:
        raise refused_field("analysis", missing.message) from None
    if analysis.experiment_id != experiment_id:
        raise refused_field(
            "analysis", "This text was read through another experiment: read it again through this one."
        )
    if analysis.status == Analysis.Status.FAILED:
        raise Conflict(f"This text could not be read: {analysis.error}")
    if analysis.is_pending:
        raise Conflict("This text is still being read: look again in a moment.")
    peaks = reading_of(analysis).peaks()[:CLOSEST_AT_MOST]
    shown = analysis.text if len(analysis.text) <= WORDS_SHOWN else f"{analysis.text[: WORDS_SHOWN - 1]}…"
    return Neighbourhood(f"Fire on “{shown}”", "activation", {read.feature.index: read.activation for read, _ in peaks})
