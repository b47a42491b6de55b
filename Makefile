# The workflow, as commands. Python 3.11 or newer, make and a POSIX shell are all that must be there.
SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTHON_IN_VENV := .venv/bin/python
# Some images forbid Python to keep what it has compiled: every server and every run of the tests would do it again.
unexport PYTHONDONTWRITEBYTECODE

# `make run PROJECT=~/code/x` opens that repository; a PROJECT that merely stands in the environment does not count.
ifeq ($(origin PROJECT),command line)
export SIGNALCABIN_PROJECT := $(PROJECT)
endif

.PHONY: run worker test test-quick matrix check format bench chaos chaos-full lock sbom audit
.DEFAULT_GOAL := run

run: ## Set up, migrate, serve on 127.0.0.1:8000 and print the link
	@./setup.sh run
	@$(PYTHON_IN_VENV) -m app migrate
	@exec $(PYTHON_IN_VENV) -m app serve

worker: ## A worker process beside the server, on the same database and machine
	@./setup.sh run
	@exec $(PYTHON_IN_VENV) -m app worker

# What fails is tried once more and then named with both results: an unsteady test is mended, but blocks nobody else.
test: ## Every test, with the published clients, a browser and the fault tests
	@./setup.sh test
	$(PYTHON_IN_VENV) -m pytest --reruns 1 -rR $(ARGS)

test-quick: ## The tests that need neither clients nor a browser
	@./setup.sh test-quick
	$(PYTHON_IN_VENV) -m pytest -m "not contracts and not clients and not browser and not chaos" $(ARGS)

matrix: ## Write tests/matrix/matrix.tsv anew: what every route answers to everybody
	@./setup.sh test-quick
	MATRIX=write $(PYTHON_IN_VENV) -m pytest -n0 tests/matrix -k as_the_table_says
	$(PYTHON_IN_VENV) -m pytest -n0 tests/matrix

check: ## Format, lint, types, floor plan
	@./setup.sh check
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m mypy
	$(PYTHON_IN_VENV) -c "from importlinter.cli import lint_imports_command as lint; lint()"

format: ## Let ruff mend what it can
	@./setup.sh check
	$(PYTHON_IN_VENV) -m ruff format .
	$(PYTHON_IN_VENV) -m ruff check --fix .

chaos: ## The fault tests, about two minutes; figures in chaos.json
	@./setup.sh test-quick
	$(PYTHON_IN_VENV) -m pytest -m chaos $(ARGS)

chaos-full: ## The same with many more kills, cuts and rounds, before a release
	@./setup.sh test-quick
	CHAOS=full $(PYTHON_IN_VENV) -m pytest -m chaos $(ARGS)

bench: ## The figures to reach, against BASE=http://... or a server of its own
	@./setup.sh test-quick
	$(PYTHON_IN_VENV) -m bench $(BASE)

sbom: ## What the server is made of, from its locks, as CycloneDX: sbom.cdx.json
	@./setup.sh run
	$(PYTHON_IN_VENV) .ci/sbom.py sbom.cdx.json

audit: ## Ask the advisories about everything that is locked (needs the network; no part of `make test`)
	@./setup.sh audit
	for set in requirements requirements-tools requirements-dev; do \
	    PYTHONPATH=.venv/audit $(PYTHON_IN_VENV) -m pip_audit --strict --disable-pip --require-hashes -r $$set.txt || exit 1; \
	done

lock: ## Resolve requirements*.in and the client packages again (needs uv and npm)
	for set in requirements requirements-dev requirements-tools requirements-hostile requirements-audit; do \
	    uv pip compile --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
	        --no-annotate --no-header --no-config --no-emit-index-url --no-emit-find-links \
	        $$set.in --output-file $$set.txt || exit 1; \
	done
	cd tests/clients && npm install --package-lock-only --omit-lockfile-registry-resolved
