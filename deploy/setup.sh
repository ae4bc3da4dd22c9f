#!/usr/bin/env bash
# Set up everything that the demo and the tests need, and say so. Safe to run again: it does only what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard setup: %s\n' "$*" >&2; exit 1; }
PYTHON=${PYTHON:-python3}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || die "Python 3.11 or newer is missing; install python3, or set PYTHON=/path/to/python3.11"
command -v git >/dev/null || die "git is missing; as root: apt-get install -y git"

stamp=.venv/.evoguard-$(cat deploy/requirements/all.txt pyproject.toml | sha256sum | cut -c1-16)
if [ ! -e "$stamp" ]; then
  if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || die "python3-venv is missing; as root: apt-get install -y python3-venv"
    say "installing python3-venv (Debian package; needed once)"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null || die "apt-get could not install python3-venv"
  fi
  say "virtual environment in .venv (hash-locked, about 30 s)"
  rm -rf .venv && "$PYTHON" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements/all.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
  touch "$stamp"
fi

deploy/tools/get-runsc.sh >/dev/null
deploy/tools/runner-layer.sh >/dev/null
deploy/tools/semgrep-layer.sh >/dev/null
