#!/usr/bin/env bash
# Print the path of a gVisor `runsc` of 2024 or later; fetch Debian's into the tool cache when there is none.
# The system's package sources stay untouched: the lists live in the cache.
set -euo pipefail
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/evoguard/tools
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard setup: %s\n' "$*" >&2; exit 1; }
new_enough() { # 'runsc version 0.0~20240729.0' or 'release-20250101.0'
  local year; year=$("$1" --version 2>/dev/null | grep -oE '20[0-9]{6}' | head -n 1 | cut -c1-4) || return 1
  [ -n "$year" ] && [ "$year" -ge 2024 ]
}
if found=$(command -v runsc) && new_enough "$found"; then echo "$found"; exit 0; fi
out=$CACHE/runsc/usr/bin/runsc
if [ ! -x "$out" ]; then
  command -v apt-get >/dev/null && [ -e /etc/apt/sources.list.d/debian.sources ] || die "gVisor's runsc is missing and this is not a Debian with debian.sources; install runsc of 2024 or later on PATH"
  mkdir -p "$CACHE"
  exec 9>"$CACHE/.runsc.lock"; flock 9
  if [ ! -x "$out" ]; then
    say "gVisor runsc (Debian package, unpacked into $CACHE)"
    T=$(mktemp -d "$CACHE/.runsc.XXXXXX"); trap 'rm -rf "$T"' EXIT
    mkdir -p "$T"/{lists/partial,parts,cache/archives/partial}
    sed -E 's/^Suites:.*/Suites: trixie/' /etc/apt/sources.list.d/debian.sources | awk 'BEGIN{RS=""} NR==1' > "$T/parts/trixie.sources"
    O="-qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$T/parts -o Dir::State::Lists=$T/lists -o Dir::Cache=$T/cache -o APT::Sandbox::User= -o Debug::NoLocking=1"
    # shellcheck disable=SC2086
    # a container image's own clean-up hook may complain about folders that only root may empty
    (cd "$T" && apt-get $O update && apt-get $O download runsc) 2> >(grep -v "^rm: cannot remove" >&2) >&2 || die "apt-get could not fetch runsc; is Debian's package source reachable?"
    dpkg-deb -x "$T"/runsc_*.deb "$T/x"
    new_enough "$T/x/usr/bin/runsc" || die "the fetched runsc does not run or is older than 2024"
    rm -rf "$CACHE/runsc"; mv "$T/x" "$CACHE/runsc"
  fi
fi
echo "$out"
