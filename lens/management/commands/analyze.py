"""`manage.py analyze EXPERIMENT TEXT`: a prompt read in the foreground, as the lens worker reads it."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from ninja.responses import NinjaJSONEncoder

from features.readable_text import visible
from features.templatetags.evidence import significant
from latentlens.lib.problems import Problem
from latentlens.lib.site_address import site_address
from lens import runner
from lens.models import Analysis
from lens.schemas import AnalysisOut
from lens.services.analyses import TOP_K_DEFAULT, draft_analysis, find_analysis
from lens.services.readings import ReadFeature, reading_of


class Command(BaseCommand):
    help = "Read a text through a finished experiment: every token with its strongest features."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("experiment", type=int, help="id of a finished experiment")
        parser.add_argument("text", help="the prompt")
        parser.add_argument("--top-k", type=int, default=TOP_K_DEFAULT, help="features per token (default %(default)s)")
        parser.add_argument("--json", action="store_true", help="print what the API answers, and nothing else")

    def handle(self, *args: Any, experiment: int, text: str, top_k: int, **options: Any) -> None:
        try:
            analysis = draft_analysis(experiment, text, top_k)
        except Problem as problem:
            raise CommandError(problem.message) from None
        runner.read(analysis.pk)
        answered = find_analysis(analysis.pk)
        if answered.status == Analysis.Status.FAILED:
            raise CommandError(answered.error)
        if options["json"]:
            self.stdout.write(json.dumps(AnalysisOut.from_orm(answered).dict(), cls=NinjaJSONEncoder))
        else:
            self._print(answered)

    def _print(self, analysis: Analysis) -> None:
        for token in reading_of(analysis).tokens:
            features = "special token, not read" if token.special else ", ".join(map(_words, token.features))
            self.stdout.write(f"{token.position:>4}  {visible(token.text):<16} {features or 'no feature fires'}")
        self.stdout.write(f"{site_address()}{analysis.get_absolute_url()}")


def _words(read: ReadFeature) -> str:
    label = f" {read.feature.label}" if read.feature.label else ""
    return f"#{read.feature.index}{label} {significant(read.activation)}"
