# The two commands are `make demo` and `make test`. Each does its own set-up; nothing is installed outside
# this checkout (.venv) and the tool cache (${XDG_CACHE_HOME:-~/.cache}/evoguard).
SHELL := /bin/bash
PY := .venv/bin/python
# `make test JOBS=2` runs two files of tests at once, in an order of their own; PYTHONHASHSEED=N repeats a run.
JOBS ?= 1
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup check unit test test-real test-nightly demo clean
help:            ## show the targets
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ \t/' | expand -t 14

setup:           ## virtual environment, gVisor, the sandbox's runner layer
	@deploy/setup.sh

check: setup     ## what a machine can check of style: format, lint, types, imports, bounds, policy bundle
	@deploy/check.sh

test: check      ## everything the core needs, on real gVisor, git and SQLite
	@export PYTHONHASHSEED=$${PYTHONHASHSEED:-$$RANDOM}; \
	echo "== tests ($(JOBS) files at once, PYTHONHASHSEED=$$PYTHONHASHSEED)"; \
	$(PY) -m pytest -q -n $(JOBS:1=0) --dist loadfile tests

test-real: setup ## against real servers and tools: OPA, a Docker engine with gVisor, packages that are not ours
	@deploy/test_real.sh

test-nightly: setup ## what takes long: Kubernetes' API server (built once, 15 min), Go's test runner
	@deploy/test_nightly.sh

demo: setup      ## carry six proposals through the guard, on real parts
	@.venv/bin/evoguard demo

clean:           ## remove what the build made here (the tool cache stays)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
