"""Explanations by a language model behind any OpenAI-compatible address (`POST {url}/chat/completions`).

It is shown examples of the explaining half and names the feature; then, in another call, it is given the name alone and
windows of the testing half, and says in which the feature fires. Both answers are JSON; anything else is a failure that
is counted and listed, and so is an address that is down or slow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from features.activation_index import ActivationIndex
from features.activation_index.firings import Firings, firings_of
from features.activation_index.text import Positions
from features.explaining.detection import Windows, detect, draw_windows, windows_at
from features.explaining.explanations import SEED, Explanation
from features.explaining.harvest_view import HarvestView
from latentlens.lib.problems import Problem
from latentlens.lib.text import clean_name

EXAMPLES = 12
EXAMPLE_TOKENS = 24
WINDOWS_OF_EACH_SORT = 8
LARGEST_ANSWER = 64 * 1024
WAITS = (1.0, 4.0)  # seconds before the second and the third try
# So many failures one after another are not the features' fault.
FAILURES_IN_A_ROW = 5

_EXPLAIN = (
    "You study one feature of a language model. Each line is a piece of text in which it fires; the tokens on which it "
    "fires stand between « and ». Say in at most ten words what they have in common, as specifically as you can. "
    'Answer with JSON alone: {"label": "..."}\n\n'
)
_DETECT = (
    "A feature of a language model is described as: {label}\nIn which of these numbered pieces of text does it fire at "
    'least once? Answer with JSON alone: {{"fires": [numbers]}}\n\n'
)


class EndpointUnavailable(ValueError):  # noqa: N818 - says what is so, as it reads where it is caught
    """The address fails again and again; the message is one sentence for the person who asked."""


@dataclass(frozen=True)
class Endpoint:
    """Where to ask: `url` ends before /chat/completions; `key` may be empty; `timeout` in seconds."""

    url: str
    model: str
    key: str = ""
    timeout: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def ask(self, prompt: str) -> dict[str, Any]:
        """The JSON object that it answers with. Raises ValueError with one sentence."""
        for wait in (*WAITS, None):
            try:
                return self._answer(prompt)
            except httpx.TimeoutException:
                problem = f"The explainer did not answer within {self.timeout:g} seconds."
            except httpx.HTTPStatusError as error:
                problem = f"The explainer answered with status {error.response.status_code}."
                if error.response.status_code < 500 and error.response.status_code != 429:
                    break
            except httpx.HTTPError:
                problem = "The explainer cannot be reached: check EXPLAINER_URL."
            if wait is not None:
                self.sleep(wait)
        raise ValueError(problem)

    def _answer(self, prompt: str) -> dict[str, Any]:
        body = {"model": self.model, "temperature": 0, "messages": [{"role": "user", "content": prompt}]}
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with httpx.stream(
            "POST", f"{self.url.rstrip('/')}/chat/completions", json=body, headers=headers, timeout=self.timeout
        ) as response:
            response.raise_for_status()
            text = b""
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > LARGEST_ANSWER:
                    raise ValueError("The explainer answered nonsense: more text than a label can need.")
        return _json_of(text)


class EndpointExplainer:
    """Explains features of one index by asking. Raises IndexUnavailable when it is made."""

    def __init__(self, index: ActivationIndex, endpoint: Endpoint) -> None:
        self._index, self._endpoint = index, endpoint
        self.view = HarvestView.of(index.files)

    def explain_all(self, features: Sequence[tuple[int, int]]) -> Iterator[Explanation]:
        """An explanation of each of the (index, firings). Raises EndpointUnavailable after failures in a row."""
        failures = 0
        for feature, _ in features:
            firings = firings_of(self._index.files, feature)
            explanation = self.explain(feature, firings)
            failures = failures + 1 if explanation.problem.startswith("The explainer") else 0
            yield explanation
            if failures == FAILURES_IN_A_ROW:
                raise EndpointUnavailable(
                    f"The explainer failed {failures} times in a row: {explanation.problem} Go on when it answers."
                )

    def explain(self, feature: int, firings: Firings) -> Explanation:
        rising = firings.rising[: np.searchsorted(firings.rising, len(self.view.token))]
        explaining = rising[self.view.explains[rising]]
        if len(explaining) == 0:
            return Explanation(feature, problem="It fires too seldom in the half of the text that explains.")
        try:
            answer = self._endpoint.ask(_EXPLAIN + self._examples(firings, explaining))
            label = clean_name(str(answer.get("label") or ""), field="text", maximum=200)
        except (ValueError, Problem) as problem:
            return Explanation(feature, problem=_sentence(problem))
        note = f"Named by {self._endpoint.model} from {EXAMPLES} examples of documents with even numbers."
        windows = draw_windows(self.view, rising, np.random.default_rng([SEED, feature]))
        if windows is None:
            return Explanation(feature, label, note, problem="There is too little text to test on.")
        try:
            return self._tested(Explanation(feature, label, note), windows)
        except ValueError as problem:
            return Explanation(feature, label, note, problem=_sentence(problem))

    def _tested(self, explanation: Explanation, windows: Windows) -> Explanation:
        count = min(WINDOWS_OF_EACH_SORT, len(windows.firing), len(windows.silent))
        shown = np.concatenate([windows.firing[:count], windows.silent[:count]])
        order = np.random.default_rng([SEED, explanation.feature, 1]).permutation(2 * count)
        lines = [f"{number}: {self._text(shown[row])}" for number, row in enumerate(order, start=1)]
        answer = self._endpoint.ask(_DETECT.format(label=explanation.text) + "\n".join(lines))
        numbers = answer.get("fires")
        if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
            raise ValueError("The explainer answered nonsense: no list of numbers.")
        expected = np.array([number in set(numbers) for number in range(1, 2 * count + 1)])[np.argsort(order)]
        part = Windows(windows.firing[:count], windows.silent[:count])
        tested = detect(part, expected[:count], expected[count:])
        return Explanation(explanation.feature, explanation.text, explanation.note, tested)

    def _examples(self, firings: Firings, explaining: Positions) -> str:
        """The strongest examples of the explaining half, one per document, with « and » around what it fires on."""
        strongest = firings.positions[np.isin(firings.positions, explaining)]
        _, first = np.unique(self.view.document[strongest], return_index=True)
        places = strongest[np.sort(first)][:EXAMPLES]
        return "\n".join(self._text(window, firings) for window in windows_at(self.view, places, EXAMPLE_TOKENS))

    def _text(self, window: Positions, firings: Firings | None = None) -> str:
        positions = window[window >= 0]
        texts = [self.view.vocabulary[token] for token in self.view.text.tokens[positions]]
        if firings is not None:
            fires = firings.activation_at(positions) > 0
            texts = [f"«{text}»" if marked else text for text, marked in zip(texts, fires, strict=True)]
        return "".join(texts).replace("\n", "↵")


def _json_of(body: bytes) -> dict[str, Any]:
    """The JSON object inside the answer's text; some models put words or a code fence around it."""
    try:
        text = str(json.loads(body)["choices"][0]["message"]["content"])
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ValueError("The explainer answered nonsense: no JSON object.") from None
    if not isinstance(found, dict):
        raise ValueError("The explainer answered nonsense: no JSON object.")
    return found


def _sentence(problem: Exception) -> str:
    return f"The explainer's label cannot be used: {problem.message}" if isinstance(problem, Problem) else str(problem)
