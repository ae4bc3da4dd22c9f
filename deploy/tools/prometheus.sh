#!/usr/bin/env bash
# Print the path of a real Prometheus server: Debian's package, unpacked into the tool cache when it is missing.
# For tests only: nothing is installed, and it is no part of what evoguard ships.
set -euo pipefail
cd "$(dirname "$0")"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/evoguard/tools
OUT=$CACHE/prometheus
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard prometheus: %s\n' "$*" >&2; exit 1; }
if [ ! -x "$OUT/usr/bin/prometheus" ]; then
  command -v apt-get >/dev/null && [ -e /etc/apt/sources.list.d/debian.sources ] || die "no Prometheus here and this is not a Debian with debian.sources"
  mkdir -p "$CACHE"
  exec 9>"$CACHE/.prometheus.lock"; flock 9
  if [ ! -x "$OUT/usr/bin/prometheus" ]; then
    say "a Prometheus server (Debian package prometheus, unpacked into the tool cache)"
    T=$(mktemp -d "$CACHE/.prometheus.XXXXXX"); trap 'rm -rf "$T"' EXIT
    mkdir -p "$T"/{lists/partial,cache/archives/partial}
    O="-qq -o Dir::State::Lists=$T/lists -o Dir::Cache=$T/cache -o APT::Sandbox::User= -o Debug::NoLocking=1"
    # shellcheck disable=SC2086
    (cd "$T" && apt-get $O update && apt-get $O download prometheus) 2> >(grep -v "^rm: cannot remove" >&2) >&2 || die "apt-get could not fetch prometheus"
    dpkg-deb -x "$T"/prometheus_*.deb "$T/x"
    "$T/x/usr/bin/prometheus" --version >/dev/null 2>&1 || die "the fetched Prometheus does not run here"
    rm -rf "$OUT"; mv "$T/x" "$OUT"; rm -rf "$T"; trap - EXIT
  fi
  exec 9>&-
fi
echo "$OUT/usr/bin/prometheus"
