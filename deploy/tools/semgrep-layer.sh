#!/usr/bin/env bash
# Print the folder of semgrep's engine: its native program and libraries, out of the hash-locked wheel (60 MB, once).
# Its Python front end and the sixty packages which that needs are left out: the scanner starts the engine itself.
# adapters/scanners/engine.py holds the digest of what must come out here, and believes no other.
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/evoguard/layers
say() { printf '== setup: %s\n' "$*" >&2; }
PY=.venv/bin/python
key=$(cat deploy/requirements/semgrep.txt deploy/tools/semgrep-layer.sh | sha256sum | cut -c1-32)
out=$CACHE/semgrep-$(uname -m)-$key
if [ ! -d "$out" ]; then
  mkdir -p "$CACHE"; exec 9>"$CACHE/.semgrep.lock"; flock 9
  if [ ! -d "$out" ]; then
    say "semgrep's engine (a wheel of 60 MB)"
    T=$(mktemp -d "$CACHE/.semgrep.XXXXXX"); trap 'rm -rf "$T"' EXIT
    $PY -m pip download --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes --dest "$T/wheel" -r deploy/requirements/semgrep.txt
    $PY - "$T" <<'PY'
import sys, zipfile
from pathlib import Path, PurePosixPath
here = Path(sys.argv[1])
(wheel,) = (here / "wheel").glob("semgrep-*.whl")
with zipfile.ZipFile(wheel) as packed:
    for name in packed.namelist():
        before, found, inner = name.partition("/purelib/semgrep/bin/")
        if not found or not inner or ".." in PurePosixPath(inner).parts or inner.endswith(".py"):
            continue
        target = here / "layer" / ("osemgrep" if inner == "semgrep-core" else inner)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(packed.read(name))
        target.chmod(0o755)
PY
    chmod -R u=rwX,go=rX "$T/layer"; mv "$T/layer" "$out"
  fi
fi
note=.venv/evoguard-semgrep-layer
if [ "$(cat "$note" 2>/dev/null)" != "$out" ]; then printf '%s\n' "$out" >"$note.$$"; mv "$note.$$" "$note"; fi
echo "$out"
