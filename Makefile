# Everything a fresh machine needs is Python >= 3.11, make and a network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo up test check fmt lint types unit lock docs bench screenshots clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## create .venv with everything, from hashed locks

$(STAMP): requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Holdfast needs Python 3.11 or later; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/bootstrap.txt requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## play the main job against the running embedded stack, and check it
	$(BIN)/python -m holdfast.cli.main demo

up: install ## start the whole stack and leave it running (Ctrl-C ends it)
	$(BIN)/holdfast up

test: check unit ## everything: formatting, lint, types, imports, all tests

check: install ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install ## all tests
	$(BIN)/pytest -n 2

fmt: install ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## renew the hashed locks from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt
	echo uv | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header - -o requirements/bootstrap.txt
	echo hatchling | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header -c requirements/dev.txt - -o requirements/build.txt

bench: install ## measure, as ratios against a baseline in the same run
	$(BIN)/python -m bench

docs: install ## write the generated pages again: configuration, its schema, telemetry, the API
	$(BIN)/holdfast config-docs
	$(BIN)/python -m holdfast.telemetry.document > docs/telemetry.md
	$(BIN)/python -m workers.api.reference

screenshots: install ## take the README's pictures again (needs Chromium)
	$(BIN)/python -m docs.screenshots

clean: ## remove the environment and the embedded data
	rm -rf $(VENV) .holdfast
