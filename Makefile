# The project's commands. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Airflow, for the one test that runs the notebooks by it: its packages and ours do not fit into one environment.
AIRFLOW := .venv-airflow
AIRFLOW_INSTALLED := $(AIRFLOW)/.installed
AIRFLOW_LOCK := tests/e2e/airflow-requirements.txt
PARAMS := params/lab.yaml
# The first Python that is new enough; `make PYTHON=/path/to/python setup` chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# ip and nft are not on every user's path.
export PATH := $(PATH):/usr/sbin:/sbin
# What Jupyter and matplotlib would otherwise keep in folders of their own in the home goes into the one cache folder.
# Not behind JupyterHub: its own JupyterLab has to find the kernel that it is offered.
ifndef JUPYTERHUB_SERVICE_PREFIX
export IPYTHONDIR := $(HOME)/.cache/runbook/ipython
export JUPYTER_CONFIG_DIR := $(HOME)/.cache/runbook/jupyter
export JUPYTER_DATA_DIR := $(HOME)/.cache/runbook/jupyter
export MPLCONFIGDIR := $(HOME)/.cache/runbook/matplotlib
endif

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(INSTALLED) ## make .venv, install what is missing on this machine
	@$(BIN)/python -m runbook_lib.lab.tools install

.PHONY: walk
walk: setup ## the whole article on this machine: start the lab, execute 00 to 04, leave it standing
	@echo "Starting the lab"
	@$(BIN)/runbook lab up
	@$(BIN)/runbook run 00 01 02 03 04 -f $(PARAMS)

.PHONY: down
down: setup ## execute 05_teardown, then stop the lab
	@$(BIN)/runbook run 05_teardown -f $(PARAMS)
	@$(BIN)/runbook lab down

.PHONY: lab
lab: setup ## start the lab alone: two empty clouds
	@$(BIN)/runbook lab up

.PHONY: jupyter
jupyter: setup ## start the lab and open the notebooks in JupyterLab
	@$(BIN)/runbook jupyter

.PHONY: test
test: setup $(AIRFLOW_INSTALLED) lint ## the linters and every test, as CI runs them
	@$(BIN)/python -m tests.browser.chromium
	@echo "Running the tests of units and of the lab, as many at a time as there are processors"
	@$(BIN)/pytest -m "not e2e and not alone" --numprocesses auto --maxprocesses 4 --dist loadfile
	@echo "Running the tests from end to end, one at a time"
	@$(BIN)/pytest -m "e2e or alone" --ignore tests/browser
	@echo "Running the notebooks in a browser"
	@$(BIN)/pytest tests/browser

.PHONY: browser
browser: setup ## the notebooks in a real browser alone: JupyterLab, driven through Chromium
	@$(BIN)/python -m tests.browser.chromium
	@$(BIN)/pytest tests/browser

.PHONY: sweep-crashes
sweep-crashes: setup ## kill provision and teardown around each call that changes something; half an hour or more
	@$(BIN)/python -m tests.crashes.full

.PHONY: quick
quick: $(INSTALLED) ## the unit tests alone: nothing but Python needed
	@$(BIN)/pytest -q -m "not lab and not e2e"

.PHONY: sweep-faults
sweep-faults: $(INSTALLED) ## 200 seeded schedules of faults of the clouds' APIs: half an hour
	@$(BIN)/python -m tests.fault_trials 200

.PHONY: lint
lint: $(INSTALLED) ## style and types
	@echo "Checking style and types"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy

.PHONY: format
format: $(INSTALLED) ## put style right where that can be done by itself
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: lock
# Run it with the oldest patch release that is to work (Debian 12: make PYTHON=/usr/bin/python3 clean lock): what a
# newer one resolves to may refuse an older one.
lock: $(INSTALLED) ## write requirements.lock anew, with the latest versions that fit
	@echo "Resolving the latest versions"
	@$(BIN)/pip install --quiet --dry-run --ignore-installed --report $(VENV)/lock.json -e '.[lab,dev]'
	@$(BIN)/python -c "$$LOCK" < $(VENV)/lock.json > $(VENV)/lock && mv $(VENV)/lock requirements.lock

.PHONY: clean
clean: ## remove .venv, caches and the kernel offered to JupyterHub; outputs/ stays
	@if test -x $(BIN)/runbook; then $(BIN)/runbook jupyter --forget-kernel || true; fi
	@rm -rf $(VENV) $(AIRFLOW) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "There is no Python 3.11 or newer here: install one, or name one with 'make PYTHON=...'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		sudo=; test "$$(id -u)" = 0 || sudo=$$(command -v sudo) || { \
			echo "Python's venv module is missing; ask an administrator to run: apt-get install $$package" >&2; exit 1; }; \
		echo "Installing the system package $$package"; \
		$$sudo apt-get -q update; $$sudo apt-get -q install -y --no-install-recommends $$package; }
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages: a minute or two the first time"
	@$(BIN)/pip install -c requirements.lock -e '.[lab,dev]' \
		| awk '/^ *Collecting /{if (++n % 50 == 0) print "  " n " packages looked up"; fflush()} /^Installing /{print "  installing " n; fflush()}'
	@touch $@

$(AIRFLOW_INSTALLED): $(AIRFLOW_LOCK) | $(INSTALLED)
	@echo "Installing Airflow into $(AIRFLOW), for its test: a minute or two the first time"
	@rm -rf $(AIRFLOW)
	@$(PYTHON) -m venv $(AIRFLOW)
	@$(AIRFLOW)/bin/pip install -c $(AIRFLOW_LOCK) $$(grep '^apache-airflow==' $(AIRFLOW_LOCK)) \
		| awk '/^ *Collecting /{if (++n % 50 == 0) print "  " n " packages looked up"; fflush()} /^Installing /{print "  installing " n; fflush()}' \
		|| { echo "Airflow cannot be installed here: mend that, or run the other tests with: $(BIN)/pytest --ignore tests/e2e/test_scheduler.py" >&2; exit 1; }
	@touch $@

define LOCK
import json, sys
print("# One complete set of versions that work together; 'make lock' writes it. Used as constraints.")
packages = [item["metadata"] for item in json.load(sys.stdin)["install"]]
ours = "multi-cloud-runbook"
lines = {p["name"].lower().replace("_", "-") + "==" + p["version"] for p in packages if p["name"] != ours}
print(*sorted(lines), sep="\n")
endef
export LOCK
