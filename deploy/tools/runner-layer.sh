#!/usr/bin/env bash
# Print the folder of the sandbox's runner layer (pytest, hash-locked, wheels only); build it when it is missing.
# Two builds are the same to the byte: no programs (they name this machine's Python), no path of ours in compiled files.
# The cache serves every checkout of this user, so .venv notes which layer is this checkout's own (tool_cache.py reads it).
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/evoguard/layers
say() { printf '== setup: %s\n' "$*" >&2; }
PY=.venv/bin/python
version=$($PY -c 'import sys; print("%d.%d" % sys.version_info[:2])')
key=$( { cat deploy/requirements/runner.txt deploy/tools/runner-layer.sh; $PY -c 'import sys; print(sys.version_info[:3])'; } | sha256sum | cut -c1-32)
out=$CACHE/runner-$version-$key
if [ ! -d "$out" ]; then
  mkdir -p "$CACHE"; exec 9>"$CACHE/.runner.lock"; flock 9
  if [ ! -d "$out" ]; then
    say "the sandbox's runner layer (pytest, wheels only)"
    T=$(mktemp -d "$CACHE/.runner.XXXXXX")
    $PY -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --no-compile --target "$T" -r deploy/requirements/runner.txt
    rm -rf "$T/bin"; sed -i '/^\.\.\/\.\.\/bin\//d' "$T"/*.dist-info/RECORD
    PYTHONHASHSEED=0 $PY -m compileall -q --invalidation-mode unchecked-hash -s "$T" -p /opt/layer "$T" >/dev/null
    chmod -R u=rwX,go=rX "$T"; mv "$T" "$out"
  fi
fi
note=.venv/evoguard-runner-layer
if [ "$(cat "$note" 2>/dev/null)" != "$out" ]; then printf '%s\n' "$out" >"$note.$$"; mv "$note.$$" "$note"; fi
echo "$out"
