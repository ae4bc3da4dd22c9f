#!/usr/bin/env bash
# Print the path of a real Prometheus server: Debian's package, unpacked into the tool cache when it is missing.
# For tests only: it is no part of what evoguard ships.
set -euo pipefail
cd "$(dirname "$0")"
. ./debian.sh
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard prometheus: %s\n' "$*" >&2; exit 1; }
debian prometheus usr/bin/prometheus says_its_version "" prometheus || case $? in
  1) die "no Prometheus here and this is not a Debian with debian.sources";;
  2) die "apt-get could not fetch prometheus";;
  *) die "the fetched Prometheus does not run here";;
esac
echo "$CACHE/prometheus/usr/bin/prometheus"
