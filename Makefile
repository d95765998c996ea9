# One verb each. A bare clone needs python3 (3.11 or newer), venv, make and bash.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.PHONY: dev demo test lint docs sim fuzz chaos fakes gpu-check perf deb

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
LINTED := dropbeard tests docs/examples perf
TIMED = @t=$$SECONDS; trap 'echo "make $@: $$((SECONDS - t)) s"' EXIT;

dev: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml
	$(TIMED) $(PYTHON) -m venv .venv; $(BIN)/pip install --quiet --editable '.[dev,imagenet]'; touch $@

demo: dev
	$(BIN)/dropbeard demo

test: dev
	$(TIMED) $(BIN)/pytest -n 2 --dist loadfile

lint: dev
	$(TIMED) $(BIN)/ruff check .; $(BIN)/ruff format --check .; $(BIN)/mypy $(LINTED); $(BIN)/lint-imports

docs: dev
	$(TIMED) $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

sim: dev
	$(TIMED) $(BIN)/python -m dropbeard.simulator --seeds 1..5000 --jobs 0

fuzz: dev
	$(TIMED) $(BIN)/python -m tests.fuzz --messages 100000

chaos: dev
	$(TIMED) $(BIN)/python -m tests.chaos --seconds 180 --faults 30

fakes:
	$(TIMED) tests/serving/tensorrt/fakes/prepare .venv-fakes; \
	DROPBEARD_FAKE_GPU=.venv-fakes/fake-gpu .venv-fakes/bin/pytest tests/serving/tensorrt

gpu-check: dev
	$(TIMED) $(BIN)/pip show --quiet pycuda && $(BIN)/python -c 'import tensorrt' || \
	$(BIN)/pip install --quiet --editable '.[tensorrt]'; \
	$(BIN)/pytest -m gpu -rs; $(BIN)/python -m perf.gpu_check

deb: dev
	$(TIMED) systemd/debian/build dist

perf: dev
	$(TIMED) $(BIN)/pip install --quiet --editable '.[perf]'; $(BIN)/python -m perf
