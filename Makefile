# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make example   environment, installation, a screening of the crystals in examples/, its table
#   make test      the same environment, then linters, types and all tests
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/pip install --quiet --disable-pip-version-check

# The CPU build of PyTorch, from the index that PyTorch documents for it; TORCH=cuda takes the build of pip's own
# index, which on Linux brings CUDA along and is some ten times as large.
TORCH ?= cpu
TORCH_CPU ?= https://download.pytorch.org/whl/cpu

.PHONY: env example test nightly test-slurm test-qe test-aiida test-browser fast coverage lint docs pictures package benchmark clean

env: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
ifneq ($(TORCH),cuda)
	@$(PIP) --retries 1 --timeout 15 --constraint constraints.txt --no-deps --index-url $(TORCH_CPU) torch || \
		echo "$(TORCH_CPU) has no build for this machine or cannot be reached: torch comes from pip's own index"
endif
	$(PIP) --constraint constraints.txt --editable ".[dev,dashboard,databases,docs,slurm]"
	@$(BIN)/python -c "import torch; print('torch', torch.__version__)"
	touch $@

example: env
	$(BIN)/goldilocks-batch run examples/structures --output example-run --overwrite
	$(BIN)/goldilocks-batch show example-run --rows 0

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two at a time; the tests of one file, which often share what they set up, stay together.
PYTEST = $(BIN)/pytest --numprocesses 2 --dist loadfile

test: lint
	$(PYTEST) -m "not nightly" --ignore tests/slurm

# What takes many minutes: rounds of kills, networks in training.
nightly: env
	$(PYTEST) -m nightly --ignore tests/slurm

# A SLURM of one node, started and stopped by the tests; its programs are installed where they are missing.
test-slurm: env
	@command -v slurmctld >/dev/null && command -v munged >/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "slurm-wlm and munge are missing; install them, or run this as root" >&2; exit 2; }; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge; }
	GOLDILOCKS_PYTHON=$(CURDIR)/$(BIN)/python GOLDILOCKS_NEED_SLURM=1 $(BIN)/pytest tests/slurm

# A report looked at in headless Chromium, which is installed where it is missing.
test-browser: env
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "chromium is missing; install it, or run this as root" >&2; exit 2; }; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium; }
	$(PIP) --constraint constraints.txt --editable ".[browser]"
	GOLDILOCKS_NEED_BROWSER=1 $(BIN)/pytest tests/browser

# What everyone runs before a commit; the commands, clusters and pages are left to `make test`.
fast: env
	$(PYTEST) -m "not slow and not nightly" tests/unit tests/contract tests/parity tests/physics

# What the tests that are not slow go through, child processes not counted; fails below the floor in pyproject.toml.
coverage: env
	$(PYTEST) -m "not slow and not nightly" --ignore tests/slurm --cov --cov-report=term:skip-covered

# Inputs run to their end by Quantum ESPRESSO, which is installed where it is missing.
test-qe: env
	@command -v pw.x >/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "pw.x is missing; install quantum-espresso, or run this as root" >&2; exit 2; }; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends quantum-espresso; }
	GOLDILOCKS_NEED_QE=1 $(BIN)/pytest tests/qe

# AiiDA in an environment of its own: what it needs does not go together with what is pinned here.
test-aiida: env
	$(PYTHON) -m venv $(VENV)-aiida
	$(VENV)-aiida/bin/pip install --quiet --disable-pip-version-check "aiida-quantumespresso>=5,<6"
	GOLDILOCKS_AIIDA_PYTHON=$(CURDIR)/$(VENV)-aiida/bin/python $(BIN)/pytest tests/aiida

# Pages in site/; a warning is an error.
docs: env
	$(BIN)/mkdocs build --strict --quiet

pictures: env
	$(BIN)/python docs/make_pictures.py

# The wheel and the source distribution in dist/, each installed in an environment of its own that runs the example.
package: env
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	GOLDILOCKS_DIST=dist TORCH_CPU=$(TORCH_CPU) $(BIN)/pytest tests/package

benchmark: env
	$(BIN)/python benchmarks/forest_features.py

clean:
	rm -rf $(VENV) $(VENV)-aiida build dist site example-run .pytest_cache .mypy_cache .ruff_cache .hypothesis
