#!/usr/bin/env bash
# Tests that take long: the Kubernetes manifest before a real kube-apiserver (built once, about 15 min), Go's test runner
# in gVisor, the own tests of released packages (fetched once; about 40 min). What cannot be had is named in one line; its tests are skipped, or fail with EVOGUARD_REQUIRE_REAL=1.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/tools/debian.sh
say() { printf '== test-nightly: %s\n' "$*" >&2; }
if ! server=$(.venv/bin/python deploy/tools/get.py kube-apiserver); then
  say "missing: kube-apiserver (needs Go and the Go module proxy)"; server=
fi
debian etcd usr/bin/etcd says_its_version "" etcd-server || say "missing: etcd (Debian's package etcd-server could not be fetched)"
etcd=; [ -x "$CACHE/etcd/usr/bin/etcd" ] && etcd=$CACHE/etcd/usr/bin/etcd
missing=
.venv/bin/python -m evoguard.bench.real.fetch || case $? in
  1) missing="the sdists of the real suites (need pip and its index)"; say "missing: $missing";;
  *) exit 1;;  # what came is not what is pinned: nothing to skip
esac
export EVOGUARD_NIGHTLY=1 EVOGUARD_SUITES_MISSING=$missing EVOGUARD_ETCD=$etcd EVOGUARD_KUBE_APISERVER=$server
.venv/bin/evoguard tools get opa >/dev/null && .venv/bin/evoguard policy mutate policies
exec .venv/bin/python -m pytest -q -rs tests/nightly
