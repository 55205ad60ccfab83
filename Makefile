# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make example   environment, installation, a screening of the crystals in examples/, its table
#   make test      the same environment, then linters, types and all tests
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: env example test test-slurm fast lint benchmark clean

env: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,dashboard,slurm]"
	touch $@

example: env
	$(BIN)/goldilocks-batch run examples/structures --model starter --output example-run --overwrite
	$(BIN)/python examples/show_results.py example-run

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest --ignore tests/slurm

# A SLURM of one node, started and stopped by the tests; its programs are installed where they are missing.
test-slurm: env
	@command -v slurmctld >/dev/null && command -v munged >/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "slurm-wlm and munge are missing; install them, or run this as root" >&2; exit 2; }; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge; }
	GOLDILOCKS_PYTHON=$(CURDIR)/$(BIN)/python GOLDILOCKS_NEED_SLURM=1 $(BIN)/pytest tests/slurm

fast: env
	$(BIN)/pytest -m "not slow"

benchmark: env
	$(BIN)/python benchmarks/forest_features.py

clean:
	rm -rf $(VENV) example-run .pytest_cache .mypy_cache .ruff_cache .hypothesis
