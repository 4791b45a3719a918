"""Read an experiment's activation index without Latent Lens: the files are plain Parquet.

    python examples/read_activations.py var/artifacts/experiments/1 42

Prints the ten strongest tokens of feature 42 with a little context. Needs duckdb;
pandas and polars read the same files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb

STRONGEST = """
    SELECT position, activation FROM read_parquet($activations)
    WHERE feature = $feature ORDER BY activation DESC LIMIT 10
"""
AROUND = "SELECT token FROM read_parquet($tokens) WHERE position BETWEEN $first AND $last ORDER BY position"


def main(folder: Path, feature: int) -> None:
    index = folder / "index"
    vocabulary = json.loads((index / "vocabulary.json").read_text("utf-8"))
    paths = {name: str(index / f"{name}.parquet") for name in ("activations", "tokens")}
    strongest = duckdb.execute(STRONGEST, {"activations": paths["activations"], "feature": feature}).fetchall()
    for position, activation in strongest:
        around = {"tokens": paths["tokens"], "first": position - 8, "last": position}
        text = "".join(vocabulary[token] for (token,) in duckdb.execute(AROUND, around).fetchall())
        print(f"{activation:8.3f}  {text!r}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: read_activations.py EXPERIMENT_FOLDER FEATURE")
    main(Path(sys.argv[1]), int(sys.argv[2]))
