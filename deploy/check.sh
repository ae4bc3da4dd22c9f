#!/usr/bin/env bash
# What a machine can check of style. Every line is a gate; the first failure stops.
set -euo pipefail
cd "$(dirname "$0")/.."
B=.venv/bin
step() { printf '== check: %s\n' "$*"; }
step format;  $B/ruff format --check --quiet .
step lint;    $B/ruff check --quiet .
step types;   $B/mypy --no-error-summary
step imports; $B/lint-imports --no-cache >/tmp/evoguard-imports.$$ 2>&1 || { cat /tmp/evoguard-imports.$$; rm -f /tmp/evoguard-imports.$$; exit 1; }; rm -f /tmp/evoguard-imports.$$
step bounds;  $B/python deploy/bounds.py
step policies; $B/python deploy/policy_sources.py
