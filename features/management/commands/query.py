"""`manage.py query`: searches the harvested text of an experiment, by the service of the search page."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from experiments.services.experiments import experiment_by_id
from features.queries.search import FORMATS
from features.services.searches import Found, QueryRefused, search, write
from latentlens.lib.problems import Problem


class Command(BaseCommand):
    help = "Search the harvested text of a finished experiment, such as 'fires(12) and not fires(90)'."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, metavar="EXPERIMENT", help="number of the experiment")
        parser.add_argument("query", metavar="QUERY", help="see docs/query-language.md")
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="matches to show (default 20)")
        parser.add_argument("--cursor", metavar="CURSOR", help="where to go on, as --json prints it under next")
        parser.add_argument(
            "--out", type=Path, metavar="FILE", help="write every match to a .csv, .jsonl or .parquet file"
        )
        parser.add_argument("--json", action="store_true", help="print the matches as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            experiment = experiment_by_id(options["experiment"])
            if options["out"]:
                self._write(experiment, options["query"], options["out"])
                return
            found = search(experiment, options["query"], limit=max(1, options["limit"]), cursor=options["cursor"])
        except QueryRefused as refusal:
            raise CommandError("\n".join(filter(None, (refusal.message, refusal.pointer)))) from None
        except Problem as problem:
            raise CommandError(problem.message) from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found), ensure_ascii=False))
        else:
            self._print(found)

    def _write(self, experiment: Any, query: str, path: Path) -> None:
        format = path.suffix.removeprefix(".")
        if format not in FORMATS:
            raise CommandError(f"The name of the file must end with one of .{', .'.join(FORMATS)}.")
        write(experiment, query, format, path)
        self.stdout.write(f"Written to {path}.")

    def _print(self, found: Found) -> None:
        page = found.page
        self.stdout.write(f"{page.total:,} tokens in {page.documents:,} documents")
        for match in page.items:
            words = "".join(
                f"»{token.text}«" if token.position == match.position else token.text for token in match.tokens
            )
            self.stdout.write(f"{match.activation:9.3f}  {match.position:>10}  {words!r}")
