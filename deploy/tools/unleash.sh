#!/usr/bin/env bash
# Print two folders: a real Unleash server, built from its lock into the tool cache, and PostgreSQL's programs.
# For tests only: neither is part of what evoguard ships.
set -euo pipefail
cd "$(dirname "$0")"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/evoguard/tools
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard unleash: %s\n' "$*" >&2; exit 1; }
command -v node >/dev/null && command -v npm >/dev/null || die "Node and npm are missing; as root: apt-get install -y nodejs npm"
OUT=$CACHE/unleash-$(cat unleash/package-lock.json unleash/start.mjs | sha256sum | cut -c1-12)
if [ ! -d "$OUT" ]; then
  mkdir -p "$CACHE"
  exec 9>"$CACHE/.unleash.lock"; flock 9
  if [ ! -d "$OUT" ]; then
    say "an Unleash server out of its npm lock (40 s, 200 MB)"
    T=$(mktemp -d "$CACHE/.unleash.XXXXXX"); trap 'rm -rf "$T"' EXIT
    cp unleash/package.json unleash/package-lock.json unleash/start.mjs "$T"
    (cd "$T" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 || die "npm could not install unleash-server"
    mv "$T" "$OUT"; trap - EXIT
  fi
  exec 9>&-
fi
postgres() { find /usr/lib/postgresql/*/bin -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -1; }
if [ -z "$(postgres)" ]; then
  [ "$(id -u)" = 0 ] || die "PostgreSQL is missing; as root: apt-get install -y postgresql"
  say "PostgreSQL (Debian package postgresql, installed)"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; } >/dev/null || die "apt-get could not install postgresql"
fi
echo "$OUT"
postgres
