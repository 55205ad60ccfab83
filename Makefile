# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make example   environment, installation, a screening of the crystals in examples/, its table
#   make test      the same environment, then linters, types and all tests
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: env example test fast lint benchmark clean

env: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,dashboard]"
	touch $@

example: env
	$(BIN)/goldilocks-batch run examples/structures --model starter --output example-run --overwrite
	$(BIN)/python examples/show_results.py example-run

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest

fast: env
	$(BIN)/pytest -m "not slow"

benchmark: env
	$(BIN)/python benchmarks/forest_features.py

clean:
	rm -rf $(VENV) example-run .pytest_cache .mypy_cache .ruff_cache .hypothesis
