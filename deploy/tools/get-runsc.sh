#!/usr/bin/env bash
# Print the path of a gVisor `runsc` of 2024 or later; fetch Debian's into the tool cache when there is none.
set -euo pipefail
. "$(dirname "$0")/debian.sh"
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard setup: %s\n' "$*" >&2; exit 1; }
new_enough() { # 'runsc version 0.0~20240729.0' or 'release-20250101.0'
  local year; year=$("$1" --version 2>/dev/null | grep -oE '20[0-9]{6}' | head -n 1 | cut -c1-4) || return 1
  [ -n "$year" ] && [ "$year" -ge 2024 ]
}
if found=$(command -v runsc) && new_enough "$found"; then echo "$found"; exit 0; fi
debian runsc usr/bin/runsc new_enough trixie runsc || case $? in
  1) die "gVisor's runsc is missing and this is not a Debian with debian.sources; install runsc of 2024 or later on PATH";;
  2) die "apt-get could not fetch runsc; is Debian's package source reachable?";;
  *) die "the fetched runsc does not run or is older than 2024";;
esac
echo "$CACHE/runsc/usr/bin/runsc"
