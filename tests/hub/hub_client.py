"""What a worker does with the hub, as a program: the hub's clients read HF_ENDPOINT once, when they are imported.

`python -m tests.hub.hub_client COMMANDS`, where COMMANDS is JSON such as [["fetch", "tiny/stories"]], prints a list
with one object for each: what came out, or what was raised. One process can answer many, as importing takes longest.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, Place, TrainingConfig
from experiments.engine.hub import describe_model, fetch_model
from experiments.engine.records import Progress


def _told(work: Generator[Progress, None, Any]) -> tuple[list[Progress], Any]:
    progress: list[Progress] = []
    while True:
        try:
            progress.append(next(work))
        except StopIteration as end:
            return progress, end.value


def fetch(hub_id: str, revision: str = "") -> dict[str, Any]:
    progress, found = _told(fetch_model(hub_id, revision or None))
    return {
        "commit": found.commit,
        "files": sorted(path.name for path in found.folder.iterdir()),
        "progress": [[told.step, told.steps, told.note] for told in progress],
    }


def describe(hub_id: str, revision: str = "") -> dict[str, Any]:
    found = describe_model(hub_id, revision or None)
    return {"commit": found.commit, "card": asdict(found.card)}


def load(hub_id: str) -> dict[str, Any]:
    from experiments.engine.model_loading import open_language_model

    _, model = _told(open_language_model(ModelConfig("hub", hub_id), hub_id))
    (states,) = model.hidden_states(model.tokenizer.encode(["Once upon a time"])[0][None], [Place(1, "resid_post")])
    return {"revision": model.revision, "width": states.shape[-1], "name": model.card.name}


def stop_half_way(hub_id: str) -> dict[str, Any]:
    """Starts a download, leaves it after its first bytes, and says whether its thread ended."""
    downloading = fetch_model(hub_id)
    next(told for told in downloading if told.step)
    thread = next(thread for thread in threading.enumerate() if thread.name == f"download {hub_id}")
    downloading.close()
    thread.join(20)
    return {"ended": not thread.is_alive()}


def documents(hub_id: str, count: str, **choices: str) -> dict[str, Any]:
    from experiments.engine.document_sources import open_source

    chat = choices.pop("chat", "no") == "yes"
    source = open_source(CorpusConfig("hub", hub_id, chat_template=chat, **choices), 0.25, None)
    read = list(islice(source.documents(lambda _: True), int(count)))
    held_out = sum(document.held_out for document in read)
    return {"texts": [document.text for document in read], "held_out": held_out, "identity": source.identity}


def windows(hub_id: str, cache: str, stop: str = "", **choices: str) -> dict[str, Any]:
    """Prepares windows in `cache`, or leaves off after `stop` batches of some documents; names what was read of it."""
    from experiments.engine import window_making
    from experiments.engine.corpus import prepare_windows
    from experiments.engine.text_tokenizer import TextTokenizer
    from tests.engine.tiny_models import tiny_tokenizer

    window_making.BATCH_CHARACTERS, window_making.BATCH_SECONDS = 60, 600.0
    streaming = choices.pop("streaming", "yes") == "yes"
    config = ExperimentConfig(
        ModelConfig("local", "tiny"),
        CorpusConfig("hub", hub_id, streaming=streaming, **choices),
        layer=1,
        training=TrainingConfig(tokens=10**6, held_out_share=0.25),
        context_length=16,
    )
    work = prepare_windows(config, TextTokenizer(tiny_tokenizer("byte_level"), "causal"), None, Path(cache))
    if stop:
        told = list(islice(work, int(stop)))
        work.close()
        return {"batches": len(told)}
    told, made = _told(work)
    return {"batches": len(told), "tokens": made.training.tokens.tolist(), "held_out": made.held_out.tokens.tolist()}


COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    command.__name__: command for command in (fetch, describe, load, stop_half_way, documents, windows)
}


def answer(command: str, *arguments: str) -> dict[str, Any]:
    positional = [argument for argument in arguments if "=" not in argument]
    named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    try:
        return COMMANDS[command](*positional, **named)
    except ValueError as error:
        return {"error": type(error).__name__, "sentence": str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([answer(*command) for command in json.loads(sys.argv[1])]))
