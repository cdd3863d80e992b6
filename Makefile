# What there is to do here: `make help`. Everything happens in .venv, which is made when first needed and again when
# pyproject.toml or constraints.txt change. PYTHON=python3.12 make test: with another Python; run `make clean` in between.

PYTHON ?= python3
ARGS ?=
# Tests on as many cores as there are, up to four: more would start more etcd servers than they save time. WORKERS= for one.
WORKERS ?= --numprocesses auto --maxprocesses 4 --dist worksteal
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Everything that is run here is repeatable, so the hash seed is given; `make test` says where it is another one.
export PYTHONHASHSEED := 0

.DEFAULT_GOAL := help
.PHONY: help run test long check docs bench bench-peers clean pins

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' Makefile | while IFS='|' read -r target what; do printf '  make %-11s %s\n' "$$target" "$$what"; done

run: .venv/run.done ## replay a real cluster's rollout through the cacher, to 1,000 clients (ARGS="--clients 50")
	@$(BIN)/watchcache trace rollout $(ARGS)

test: .venv/test.done ## the tests, and those of determinism once more under another hash seed
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)
	@PYTHONHASHSEED=1 $(BIN)/python -m pytest --quiet -m determinism

# Fresh seeds at each run, and many more of them: what it finds is new. Its table goes to docs/track-record.md.
long: .venv/test.done ## every test, with 50 times the examples, and a table of what was tried
	@HYPOTHESIS_PROFILE=long WATCHCACHE_LONG_TABLE=$${WATCHCACHE_LONG_TABLE-.venv/long.md} $(BIN)/python -m pytest -m "" -o faulthandler_timeout=0 $(ARGS)

check: .venv/dev.done ## format, lint, types, who may import whom, banned calls, tidiness
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python -m pytest --quiet tests/test_project.py tests/test_imports.py

docs: .venv/dev.done ## the documentation as a site that opens from disk; a warning is an error
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --builder html --conf-dir docs/_site --doctree-dir build/doctrees $(ARGS) docs build/docs
	@echo "open $(CURDIR)/build/docs/index.html"

bench: .venv/dev.done ## the figures of this machine, and beside Kubernetes' own (ARGS="--only peers --publish" writes docs/performance.md)
	@$(BIN)/python -m benchmarks $(ARGS)
	@$(if $(ARGS),,$(BIN)/python -m benchmarks --only peers --publish)

bench-peers: ## build what `make bench` puts ours beside, with Go: Kubernetes' own (ARGS="cacher clientgo": not all of it)
	@.ci/bench-peers $(ARGS)

pins: ## write constraints.txt anew, from pyproject.toml, at the newest versions
	@PYTHON=$(PYTHON) .ci/pins

clean: ## remove all that the other targets made
	@rm -rf .venv dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- .venv -----------------------------------------------------------------------------------------------------------
# The sections of constraints.txt up to the named one. With their hashes they are requirements, not pip's constraints; its
# first lines say why.
pinned = sed '/^\# === $(1)/,$$d' constraints.txt >.venv/pinned.txt && $(PIP) install --require-hashes -r .venv/pinned.txt

# One line, and it says what to type. `$(error)` speaks before the first command of a recipe runs.
define preflight
$(if $(shell command -v $(PYTHON)),,$(error $(PYTHON) is not installed: apt-get install python3 python3-venv))
$(if $(shell $(PYTHON) -c 'import sys; print("ok"[:sys.version_info >= (3, 11) and 2])'),,$(error \
    $(PYTHON) is older than 3.11: install a newer Python and name it, as in PYTHON=python3.12 make $(MAKECMDGOALS)))
$(if $(shell $(PYTHON) -c 'import ensurepip, venv; print("ok")' 2>&1 | grep '^ok'),,$(error \
    $(PYTHON) cannot make a virtual environment: apt-get install python3-venv))
endef

.venv/made.done:
	$(preflight)
	@echo "making .venv: a minute, once"
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/run.done: .venv/made.done pyproject.toml constraints.txt
	@$(call pinned,test)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test.done: .venv/run.done
	@$(call pinned,dev)
	@touch $@

.venv/dev.done: .venv/test.done
	@$(PIP) install --require-hashes -r constraints.txt
	@touch $@
