# Everything lives in .venv; no target needs another to be called first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test smoke check mutants format docs clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

# One run that starts balanced and collapses, beside one that stays healthy: same seed, same data.
demo: $(READY)
	@collapse=$$($(BIN)/moe-lab train configs/collapse.yaml) && \
	healthy=$$($(BIN)/moe-lab train configs/healthy.yaml) && \
	$(BIN)/moe-lab report "$$collapse" "$$healthy"

# One process per core, one thread each: two threads in each of two processes would be far slower.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

smoke: $(READY)
	@run=$$($(BIN)/moe-lab train configs/smoke.yaml) && $(BIN)/moe-lab report "$$run"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

# Seeds faults into a copy of the package; every one must make a test fail.
mutants: $(READY)
	$(BIN)/python tests/mutants.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Writes what the documentation quotes from the code.
docs: $(READY)
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
