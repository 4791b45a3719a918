"""Train an SAE on the built-in model over HTTP and print its quality and its strongest features.

    python examples/train_over_http.py http://127.0.0.1:8000 "$(cat var/secrets/api_key)"

Needs nothing but Python's standard library.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any


def call(base: str, key: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        base + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"X-API-Key": key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def main(base: str, key: str) -> None:
    experiment = call(base, key, "POST", "/api/experiments", {
        "name": "over HTTP", "model": "builtin", "layer": 2, "corpus": "builtin",
        "n_features": 1024, "k": 16, "training_tokens": 500_000, "seed": 1,
    })  # fmt: skip
    since = 0
    while experiment["status"] in {"queued", "running"}:
        for metric in call(base, key, "GET", f"/api/experiments/{experiment['id']}/metrics?since={since}")["items"]:
            since = metric["seq"]
            print(f"step {metric['step']:>6}  explained variance {metric['values']['explained_variance']:.3f}")
        time.sleep(1)
        experiment = call(base, key, "GET", f"/api/experiments/{experiment['id']}")
    print(experiment["status"], experiment["error"] or "", json.dumps(experiment["quality"], indent=1)[:800])
    features = call(base, key, "GET", f"/api/features?experiment={experiment['id']}&ordering=-max_activation&limit=5")
    for feature in features["items"]:
        print(f"#{feature['index']:<6} density {feature['density']:.4%}  max {feature['max_activation']:.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: train_over_http.py BASE_URL API_KEY")
    main(sys.argv[1].rstrip("/"), sys.argv[2])
