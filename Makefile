# make train       a CNN on handwritten digits, from nothing but Python 3.11+ with venv
# make test        lint, types and the tests that are quick
# make test-slow   the tests that take long: faults, several hosts, large networks
# make test-core   what depends on JAX itself, for another Python: make PYTHON=python3.13 VENV=.venv-3.13 test-core
# The stamps in the environment make a second call install nothing.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORE := tests/ops tests/models tests/training tests/experiment tests/runtime tests/random tests/optimization \
        tests/inference tests/analysis tests/test_rooms.py

.PHONY: train test test-slow test-core lint clean

train: $(VENV)/.installed
	$(BIN)/cnn_jax train

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

test-core: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow" $(CORE)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.created:
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "cnn_jax needs Python 3.11 or newer with venv; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing JAX, Flax and what else cnn_jax needs into $(VENV): 1 GB, a few minutes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what the tests need besides into $(VENV): a few minutes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
