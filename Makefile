# Everything lives in .venv; no target needs another to be called first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test engines browser torture smoke check bench scale mutants coverage format docs clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

# Five weights of the balance loss at three seeds each, with and without collapse; two of these runs side by side; and a
# page about all of them to open in a browser.
demo: $(READY)
	@$(BIN)/moe-lab sweep alpha
	@$(BIN)/moe-lab report runs/sweep-alpha/alpha-0-s1 runs/sweep-alpha/alpha-0.01-s1
	@$(BIN)/moe-lab report runs/sweep-alpha --html

# One process per core, one thread each: two threads in each of two processes would be far slower.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m "not engines"

# Ray, submitit and torchrun at work, for which their extras are installed: up to six minutes on two cores. A file of
# tests beside another, for engines wait much. MOE_LAB_ENGINES=full: sweeps of full size.
engines: $(READY)-engines
	OMP_NUM_THREADS=1 MOE_LAB_ENGINES=$(MOE_LAB_ENGINES) $(BIN)/pytest -m engines -n 2 --dist loadfile

$(READY)-engines: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray,slurm]'
	touch $@

# Chromium, which tests of pages need: without it they are skipped. On Debian and Ubuntu, as root.
browser: $(READY)
	apt-get update -qq && apt-get install -y -qq chromium chromium-driver
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'

# All that crashes, damage and bad input are tried on, of which `make test` tries a part: up to twenty minutes on two cores.
# What was tried goes into the documentation.
torture: $(READY)
	MOE_LAB_TORTURE=docs/torture.json OMP_NUM_THREADS=1 $(BIN)/pytest tests/reliability -n auto --dist worksteal
	$(BIN)/python docs/generate.py

# The gate must pass the healthy config and fail the one that collapses: exit code 3, and no other.
SHORT := train.steps=120 train.batch_size=8 eval.every=60 eval.tokens=2048
smoke: $(READY)
	@runs=$$(mktemp -d) && \
	healthy=$$($(BIN)/moe-lab train configs/healthy.yaml $(SHORT) --runs-dir "$$runs" --fail-on collapse) && \
	collapse=$$($(BIN)/moe-lab train configs/collapse.yaml $(SHORT) --runs-dir "$$runs") && \
	{ $(BIN)/moe-lab check "$$collapse" --fail-on collapse; test $$? -eq 3; } && \
	$(BIN)/moe-lab report "$$collapse" "$$healthy" && rm -r "$$runs"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

# Beside other implementations, which only this needs: ten minutes; BENCH=--quick: less than one.
bench: $(READY)-bench
	@$(BIN)/python tests/bench $(BENCH)

# What 10,000 runs that nobody trained take to plan, drive and read: half an hour, and three GB of disk in between.
scale: $(READY)
	$(BIN)/python tests/bench/scale.py docs/scale.json
	$(BIN)/python docs/generate.py

$(READY)-bench: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@

# Seeds faults into a copy of the package; every one must make a test fail.
mutants: $(READY)-engines
	$(BIN)/python tests/mutants.py

# Every branch of what writes runs is taken by a test.
coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -q tests/store
	$(BIN)/coverage report

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Writes what the documentation quotes from the code.
docs: $(READY)
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
