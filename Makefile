# Latent Lens. `make help` explains every target.
.DEFAULT_GOAL := help
.PHONY: help dev test lint types bench bench-peers bench-gpu profile docs clean

# pip is told not to compile the thousands of files of which we use a few, so Python must be let to keep what it compiles.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
ARGS ?=

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings are environment variables (PORT=8001 make dev) or lines of .env; see .env.example and docs/settings.md."

dev: $(VENV)/.worker ## Install what is missing, then run everything; prints a URL with a one-time sign-in link. Ctrl-C stops
	@$(BIN)/python manage.py up

test: $(VENV)/.dev ## Run all tests (ARGS="tests/platform -k broker" for some of them)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/.dev types ## Style, types, import contracts and missing migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/python manage.py makemigrations --check --dry-run

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy latentlens experiments features lens

bench: $(VENV)/.dev ## Every row of the table of speed, beside the peers (ARGS="--only step --rounds 5", "--write")
	@$(BIN)/python -m benchmarks.bench $(ARGS)

bench-peers: $(VENV)/.dev ## Install the peers that make bench measures, each in an environment of its own
	@$(BIN)/python -m benchmarks.environments $(ARGS)

profile: $(VENV)/.dev ## Where an experiment's time goes, part by part (ARGS="--tokens 100000", "--growth", "--write")
	@$(BIN)/python -m benchmarks.stage_profile $(ARGS)

bench-gpu: $(VENV)/.dev ## Time training steps on a GPU (CUDA), beside its limit and sparsify (SPARSIFY_PYTHON=...)
	@$(BIN)/python -m benchmarks.gpu $(ARGS)

docs: $(VENV)/.dev ## Make the screenshots of the documentation again
	@$(BIN)/python docs/screenshots.py

clean: ## Remove the environment and caches; data (var/) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis build *.egg-info

# Each of these files says when its set of packages was installed; make does it again when the versions change.
$(VENV)/.worker: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing (a few minutes the first time) ..."
	@$(PIP) torch setuptools wheel
	@$(PIP) --no-build-isolation ".[worker]"
	@touch $@

$(VENV)/.dev: $(VENV)/.worker
	@$(PIP) --no-build-isolation ".[worker,map,dev]"
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found: install it, or say where it is: make PYTHON=/path/to/python3.11 dev"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer, which Latent Lens needs: say where one is: make PYTHON=/path/to/python3.11 dev"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv package (Debian: apt-get install python3-venv)"; exit 1; }
