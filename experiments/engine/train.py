"""Trains one experiment without the workbench: `python -m experiments.engine.train CONFIG.json --folder OUT`.

On several GPUs of one machine: `torchrun --nproc-per-node N -m experiments.engine.train ...`, the same arguments. Each
process reads the text and takes its share of every batch; the first writes everything. The records of the stages are
written to stdout, one JSON document a line. The same command goes on from the last checkpoint.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import distributed

import experiments.engine.builtin
from experiments.engine import pipeline
from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.config import ExperimentConfig
from experiments.engine.job import Job, ResumePoint
from experiments.engine.machine import cpu_threads, resolve_device
from experiments.engine.processes import Processes, joined_processes
from experiments.engine.records import Record, StageFinished

BUILTIN_MODEL = Path(experiments.engine.builtin.__file__).parent / "model"
REFUSED = 2


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code; 2 for an experiment that cannot be run, with its sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        config = ExperimentConfig.from_json(json.loads(options.config.read_text(encoding="utf-8")))
        if torch.cuda.is_available():
            torch.cuda.set_device(distributed.get_node_local_rank(fallback_rank=0))
        train(config, options, joined_processes())
    except (ValueError, OSError) as refusal:  # the engine's refusals are ValueErrors with a sentence for people
        sys.stderr.write(f"{refusal}\n")
        return REFUSED
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    return 0


def train(config: ExperimentConfig, options: Namespace, processes: Processes) -> None:
    """All stages in the first process; the others are done when training is."""
    with _folder(options.folder, processes) as folder:
        job = _job(config, options, folder, processes)
        for record in pipeline.run(job, _resume_point(folder, config), pipeline.never, processes):
            if processes.is_first:
                _tell(record)
            if isinstance(record, StageFinished) and record.stage == "training":
                _refuse_disagreement(processes, record.values["weights_sha256"])
                if not processes.is_first:
                    return


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="experiments.engine.train", description=__doc__)
    parser.add_argument("config", type=Path, help="an experiment's config.json")
    parser.add_argument("--folder", type=Path, required=True, help="where weights, quality and index go")
    parser.add_argument("--model", default="", help="folder of a local model")
    parser.add_argument("--corpus", type=Path, help="file of an uploaded corpus")
    parser.add_argument("--cache", type=Path, help="folder of token windows (default: FOLDER/cache)")
    parser.add_argument("--threads", type=int, help="processor threads (default: this process's share of the cores)")
    parser.add_argument(
        "--capture-ahead",
        action=BooleanOptionalAction,
        help="capture the next segment while one is trained on (default: on CUDA); holds two of them",
    )
    return parser


def _job(config: ExperimentConfig, options: Namespace, folder: Path, processes: Processes) -> Job:
    builtin_or_hub = str(BUILTIN_MODEL) if config.model.source == "builtin" else config.model.name
    return Job(
        config=config,
        folder=folder,
        model_path=options.model or builtin_or_hub,
        corpus_path=options.corpus,
        cache_folder=options.cache or options.folder / "cache",
        device=_device(processes),
        captures_ahead=options.capture_ahead,
        threads=options.threads or max(1, cpu_threads() // processes.count),
    )


def _device(processes: Processes) -> str:
    """The GPU of this process, or what one process alone finds; several without CUDA are connected on processors."""
    found = resolve_device("auto")
    if found == "cuda":
        return f"cuda:{torch.cuda.current_device()}"
    return found if processes.count == 1 else "cpu"


@contextmanager
def _folder(folder: Path, processes: Processes) -> Iterator[Path]:
    """Where a process writes: the first in `folder`, others where it is gone afterwards; all see its checkpoints."""
    checkpoints = ExperimentFolder(folder).checkpoints
    checkpoints.mkdir(parents=True, exist_ok=True)
    if processes.is_first:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        ExperimentFolder(Path(temporary)).checkpoints.symlink_to(checkpoints.resolve())
        yield Path(temporary)


def _resume_point(folder: Path, config: ExperimentConfig) -> ResumePoint | None:
    newest = ExperimentFolder(folder).newest_checkpoint_before(config.training.steps + 1)
    return ResumePoint("training", newest.name) if newest else None


def _tell(record: Record) -> None:
    sys.stdout.write(json.dumps({"record": type(record).__name__, **asdict(record)}) + "\n")
    sys.stdout.flush()


def _refuse_disagreement(processes: Processes, weights_sha256: str) -> None:
    if not processes.all_have(weights_sha256):
        raise ValueError("The processes ended in different weights: their machines do not compute alike.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
