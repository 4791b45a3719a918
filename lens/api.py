"""The API of the lens; its operations call the services that the page calls."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status

from latentlens.lib.api_responses import REFUSALS
from latentlens.lib.problems import Refused
from lens.models import Analysis
from lens.schemas import AnalysisIn, AnalysisOut
from lens.services.analyses import find_analysis, request_analysis, wait_for

router = Router(tags=["activations"])


@router.post("/analyze", response={200: AnalysisOut, 202: AnalysisOut, **REFUSALS}, operation_id="analyze")
def analyze(request: HttpRequest, content: AnalysisIn, response: HttpResponse) -> Status[Analysis]:
    """Reads a text through an experiment: every token with its strongest features.

    Answers 202, with the address of the analysis in the header Location, when it takes longer than `wait` seconds.
    """
    asked = request_analysis(content.experiment, content.text, content.top_k, request.user)
    answered = wait_for(asked, content.wait)
    if answered.status == Analysis.Status.FAILED:
        raise Refused(answered.error)
    if answered.is_pending:
        response["Location"] = reverse("api:get_analysis", args=[answered.pk])
        return Status(202, answered)
    return Status(200, answered)


@router.get("/{analysis_id}", response={200: AnalysisOut, **REFUSALS}, operation_id="get_analysis")
def get_analysis(request: HttpRequest, analysis_id: UUID) -> Analysis:
    """An analysis as it stands; `tokens` is empty until its status is `finished`."""
    return find_analysis(analysis_id)
