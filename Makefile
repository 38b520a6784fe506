# Every target sets up what it needs: a virtual environment in .venv with the tested versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# One thread for each of two workers: torch's own threads would only get into each other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test test-all fuzz bench check style clean

demo: $(STAMP)
	$(BIN)/raddiag demo --output demo-output

test: $(STAMP)
	$(PYTEST) -m "not slow and not gpu"

test-all: $(STAMP)
	$(PYTEST)
	tests/lower_bounds.sh $(VENV)-lowest
	tests/timm.sh $(VENV)-timm

# The same seed makes the same files; what failed stays in fuzz-failures.
FUZZ_FILES := 5000
FUZZ_SEED := 0
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz.campaign --files $(FUZZ_FILES) --seed $(FUZZ_SEED)

# The ablation reads the text encoder that the knowledge benchmark trains.
BENCH_ENCODER := out/knowledge-encoder
bench: $(STAMP)
	$(BIN)/python benchmarks/knowledge.py --output $(BENCH_ENCODER)
	$(BIN)/python benchmarks/ablation.py --encoder $(BENCH_ENCODER)
	for script in $(filter-out %/knowledge.py %/ablation.py,$(wildcard benchmarks/[a-z]*.py)); do \
		$(BIN)/python $$script || exit 1; done

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy dataset_scripts

style: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(STAMP): setup.cfg constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(f"raddiag-hf needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; name another with: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-timm demo-output .pytest_cache .mypy_cache .ruff_cache
