# droptime: every task of the house. `make` alone lists them.
# Needs python3 (>= 3.11) and make; the first call creates .venv and installs, later calls do not.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

CORE_TESTS := tests/unit/layers tests/unit/sites tests/unit/scheduler tests/unit/schedules \
	tests/oracles/test_attention_twin.py tests/oracles/test_hand_written_loop.py \
	tests/properties/test_attach_and_close.py \
	--ignore=tests/unit/scheduler/test_exports.py -k 'not fsdp2'

.DEFAULT_GOAL := help
.PHONY: help study zoo chaos test check lint types floors format oldest clean

help:  ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

study: $(READY)  ## study dropout schedules on real digits: table, figures, verdict (about 3 minutes)
	$(BIN)/droptime study digits

zoo: $(READY)  ## prove every rate of every family of timm, torchvision and transformers (over an hour)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m tests.zoo

chaos: $(READY)  ## kill, starve and damage training runs, and see that none is lost (a few minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.chaos

test: $(READY)  ## the tests, warnings as errors, with doctests and the README's code
	$(BIN)/pytest -n 2

check: lint types floors test  ## everything that must hold: lint, types, import floors, tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

floors: $(READY)
	$(BIN)/lint-imports

format: $(READY)  ## rewrite the code in the house's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

oldest: .venv-oldest/.ready  ## the core's tests on the oldest torch claimed; its own warnings allowed
	PYTHONPATH=src .venv-oldest/bin/python -m pytest -W default -p no:cacheprovider $(CORE_TESTS)

clean:  ## remove what the other tasks made (keeps runs/)
	rm -rf $(VENV) .venv-oldest .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv-oldest/.ready: Makefile
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet torch==2.6.0 torchvision==0.21.0 timm==1.0.31 \
		'numpy<2' pytest hypothesis
	touch $@

$(READY): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
