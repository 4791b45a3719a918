"""Installs the peers, each in an environment of its own: their pins contradict each other and ours.

    make bench-peers                            # or: python -m benchmarks.environments [NAME ...]

What is installed as asked for is left alone. All get the version of torch that Latent Lens is tested with, first and by
itself: left to its own, pip may choose a build that brings gigabytes of CUDA libraries.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.folders import ENVIRONMENTS, ROOT

CONSTRAINTS = ROOT / "constraints.txt"
SHOWN_LINES = 12  # of what pip says when it fails
# Brought along by peers, built for another build of torch than the one installed, and used by nothing that is measured:
# with it there, transformers cannot be imported.
UNWANTED = ("torchvision", "torchaudio")


class NotInstalled(Exception):  # noqa: N818 - it is what a row of the table says
    """A peer's environment is missing, or could not be made."""


@dataclass(frozen=True)
class Environment:
    """A peer: the packages it needs beside torch, and the module whose import shows that it works."""

    name: str
    packages: tuple[str, ...]
    module: str

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def requirements(self) -> list[str]:
        return [f"torch=={torch_version()}", *self.packages]

    @property
    def is_installed(self) -> bool:
        return self._installed_as() == self.requirements

    def require(self) -> Path:
        """The interpreter. Raises NotInstalled with what to do."""
        if not self.is_installed:
            raise NotInstalled(f"{self.name} is not installed: make bench-peers")
        return self.python

    def install(self) -> None:
        """Makes the environment anew. Raises NotInstalled with the end of what the failing command said."""
        self._stamp.unlink(missing_ok=True)
        torch, *packages = self.requirements
        pip = [str(self.python), "-m", "pip"]
        install = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        self._do("making an environment", [sys.executable, "-m", "venv", "--clear", str(self.folder)])
        self._do(f"installing {torch}", [*install, torch])
        self._do(f"installing {' '.join(packages)}", [*install, torch, *packages])
        self._do("removing what does not fit", [*pip, "uninstall", "--quiet", "--yes", *UNWANTED])
        self._do(f"importing {self.module}", [str(self.python), "-c", f"import {self.module}"])
        self._stamp.write_text(json.dumps(self.requirements))

    @property
    def _stamp(self) -> Path:
        return self.folder / "installed.json"

    def _installed_as(self) -> list[str]:
        return list(json.loads(self._stamp.read_text())) if self._stamp.exists() else []

    def _do(self, what: str, command: list[str]) -> None:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            said = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-SHOWN_LINES:])
            raise NotInstalled(f"{self.name}: {what} failed:\n{said}")


SAELENS = Environment("saelens", ("sae-lens==6.54.12",), "sae_lens")
SPARSIFY = Environment("sparsify", ("eai-sparsify==1.3.3",), "sparsify")
DICTIONARY_LEARNING = Environment("dictionary-learning", ("dictionary-learning==0.1.0",), "dictionary_learning")
# Its pin of NumPy is older than what newer builds of pyarrow were made for.
SAE_DASHBOARD = Environment("sae-dashboard", ("sae-dashboard==0.8.0", "pyarrow<21"), "sae_dashboard.sae_vis_runner")
ALL = (SAELENS, SPARSIFY, DICTIONARY_LEARNING, SAE_DASHBOARD)


def torch_version() -> str:
    found = re.search(r"^torch==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE)
    if found is None:
        raise NotInstalled(f"{CONSTRAINTS.name} names no version of torch")
    return found[1]


def main() -> int:
    """Installs what is missing; the exit code says whether all of it worked."""
    by_name = {environment.name: environment for environment in ALL}
    parser = argparse.ArgumentParser(description="Install the peers of the benchmarks.")
    parser.add_argument("names", nargs="*", choices=[*by_name, []], help="only these")
    failed = 0
    for environment in [by_name[name] for name in parser.parse_args().names] or ALL:
        started = time.monotonic()
        if environment.is_installed:
            print(f"{environment.name}: installed ({' '.join(environment.requirements)})", flush=True)
            continue
        print(f"{environment.name}: installing {' '.join(environment.requirements)} ...", flush=True)
        try:
            environment.install()
        except NotInstalled as reason:
            print(reason, file=sys.stderr, flush=True)
            failed += 1
        else:
            print(f"{environment.name}: done in {time.monotonic() - started:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
