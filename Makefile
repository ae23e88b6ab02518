# droptime: every task of the house. `make` alone lists them.
# Needs python3 (>= 3.11) and make; the first call creates .venv and installs, later calls do not.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help study test check lint types floors format clean

help:  ## list the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

study: $(READY)  ## study dropout schedules on real digits: table, figures, verdict (about 5 minutes)
	$(BIN)/droptime study digits

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

clean:  ## remove what the other tasks made (keeps runs/)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
