"""What a watcher of an experiment is sent: JSON events, or the parts of the page that look different now."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from experiments import live_page
from experiments.curves import metric_event
from experiments.schemas import ExperimentOut
from experiments.services.events import News, newest_event, news_since

# What changes without an event, such as the absence of workers, is looked at this often.
SECONDS_BETWEEN_RENDERINGS = 3.0


@dataclass(frozen=True)
class Sending:
    """The messages to send now, and whether they are the last."""

    messages: list[str] = field(default_factory=list)
    is_last: bool = False


class Feed(ABC):
    """Follows one experiment from event number `since` on; a watcher asks it again and again."""

    def __init__(self, experiment_id: int, since: int) -> None:
        self._experiment_id = experiment_id
        self._since = since
        self._looked = False

    def next(self) -> Sending | None:
        """What is new since the last call; None when the experiment is gone."""
        newest = newest_event(self._experiment_id)
        if newest is None:
            return None
        if self._looked and newest == self._since and not self.is_stale():
            return Sending()
        news = news_since(self._experiment_id, self._since)
        if news is None:
            return None
        messages = self.messages(news)
        self._looked, self._since = True, news.newest
        return Sending(messages, is_last=news.is_complete and news.experiment.status in live_page.ENDED)

    def is_stale(self) -> bool:
        """Should news be read although there was no event?"""
        return False

    @abstractmethod
    def messages(self, news: News) -> list[str]:
        """The news in the words of this feed."""


class EventFeed(Feed):
    """`{"seq", "type": "metric", ...}` for each metric, then `{"seq", "type": "experiment", ...}` as it is now."""

    def messages(self, news: News) -> list[str]:
        events = [{"type": "metric"} | metric_event(metric) for metric in news.metrics]
        if news.is_complete and news.experiment.sequence > self._since:
            snapshot = ExperimentOut.from_orm(news.experiment).model_dump(mode="json")
            events.append({"type": "experiment", "seq": news.experiment.sequence} | snapshot)
        return [json.dumps(event) for event in events]


class PageFeed(Feed):
    """HTML parts, each only when it looks different from what was sent before; htmx puts them in by their ids."""

    def __init__(self, experiment_id: int, since: int) -> None:
        super().__init__(experiment_id, since)
        self._sent: dict[str, str] = {}
        self._rendered_at = 0.0

    def is_stale(self) -> bool:
        return time.monotonic() - self._rendered_at > SECONDS_BETWEEN_RENDERINGS

    def messages(self, news: News) -> list[str]:
        parts = live_page.live_parts(news.experiment)
        self._rendered_at = time.monotonic()
        changed = [html for part, html in parts.items() if self._sent.get(part) != html]
        self._sent = parts
        if news.metrics:
            changed.append(live_page.new_points(news.metrics))
        return ["\n".join(changed)] if changed else []
