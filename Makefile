# Everything a developer or a user of the repository types. Needs python3 (3.11 or newer), make and pip only.
PYTHON ?= python3
QUICK := zero_shot,majority,few_shot,features,full,layers,head,bitfit,lora,soft_prompt
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS := $(VENV)/.docs

.PHONY: setup demo test test-all check bench docs clean

setup: $(READY)

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Luthier needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $(READY)

demo: setup
	$(BIN)/luthier fetch
	$(BIN)/luthier compare --budget 45s --methods $(QUICK) --out runs/demo

test: setup
	$(BIN)/luthier fetch
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow"

test-all: setup
	$(BIN)/luthier fetch
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest -q

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(DOCS)  # without --quiet: that would hide warnings from --strict, too
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "build/docs/index.html"

$(DOCS): $(READY) requirements-docs.lock
	$(BIN)/python -m pip install --quiet -r requirements-docs.lock
	touch $(DOCS)

bench: setup
	$(BIN)/python bench/$(NAME).py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
