# Each target does all of its own set-up, in $(VENV); the second time there is none to do.
VENV ?= .venv
BIN := $(VENV)/bin
export PYTHON

.PHONY: help demo test lint format typecheck pytest lock wheel clean distclean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(VENV)/.run-time ## the main job on the embedded model: 30 pictures unsteered, 30 steered, a report
	$(BIN)/python -m fairgen demo

test: lint typecheck pytest ## linter, formatter, types, tests

lint: $(VENV)/.development ## ruff, and import-linter: imports point down only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.development ## ruff's fixes and formatting, in place
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

typecheck: $(VENV)/.development ## mypy --strict
	$(BIN)/mypy

pytest: $(VENV)/.development ## the tests alone
	$(BIN)/python -m pytest -m "not alone" --numprocesses 2 --dist loadgroup --durations 15
	$(BIN)/python -m pytest -m alone

lock: $(VENV)/.development ## resolve pyproject.toml afresh into requirements.txt and requirements-dev.txt
	$(BIN)/python tools/lock.py

wheel: $(VENV)/.development ## dist/*.whl, with assets/ and specs/ inside
	$(BIN)/python -m hatchling build -t wheel

clean: ## caches and builds
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## those and the environment
	rm -rf $(VENV)

$(VENV)/.run-time: requirements.txt pyproject.toml tools/environment.sh
	tools/environment.sh $(VENV) requirements.txt
	@touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt pyproject.toml tools/environment.sh
	tools/environment.sh $(VENV) requirements-dev.txt
	@touch $@ $(VENV)/.run-time
