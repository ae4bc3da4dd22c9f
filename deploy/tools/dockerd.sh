#!/usr/bin/env bash
# Run a Docker engine of our own in FOLDER, in the foreground, until it is told to end or its parent dies.
# It listens on FOLDER/docker.sock only (and, with EVOGUARD_DOCKER_TLS=port, on loopback with the keys of FOLDER/tls).
# Its runtimes are gVisor's `runsc` and `runc`. Debian's packages are unpacked into the tool cache when they are missing;
# nothing is installed. `dockerd.sh --fetch` only prints where they are.
set -euo pipefail
cd "$(dirname "$0")"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/evoguard/tools
OUT=$CACHE/docker
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard dockerd: %s\n' "$*" >&2; exit 1; }
fetch() {
  [ -x "$OUT/usr/sbin/dockerd" ] && return
  command -v apt-get >/dev/null && [ -e /etc/apt/sources.list.d/debian.sources ] || die "no Docker engine here and this is not a Debian with debian.sources"
  mkdir -p "$CACHE"
  exec 9>"$CACHE/.docker.lock"; flock 9
  if [ -x "$OUT/usr/sbin/dockerd" ]; then exec 9>&-; return; fi  # an engine must not keep the lock
  say "a Docker engine (Debian packages docker.io, containerd and runc, unpacked into the tool cache)"
  T=$(mktemp -d "$CACHE/.docker.XXXXXX"); trap 'rm -rf "$T"' EXIT
  mkdir -p "$T"/{lists/partial,cache/archives/partial}
  O="-qq -o Dir::State::Lists=$T/lists -o Dir::Cache=$T/cache -o APT::Sandbox::User= -o Debug::NoLocking=1"
  # shellcheck disable=SC2086
  (cd "$T" && apt-get $O update && apt-get $O download docker.io containerd runc) 2> >(grep -v "^rm: cannot remove" >&2) >&2 || die "apt-get could not fetch docker.io, containerd and runc"
  for deb in "$T"/*.deb; do dpkg-deb -x "$deb" "$T/x"; done
  "$T/x/usr/sbin/dockerd" --version >/dev/null || die "the fetched dockerd does not run here"
  rm -rf "$OUT"; mv "$T/x" "$OUT"; rm -rf "$T"; trap - EXIT
  exec 9>&-
}
[ $# = 1 ] || die "usage: dockerd.sh FOLDER | --fetch"
fetch
[ "$1" = --fetch ] && { echo "$OUT"; exit 0; }
[ "$(id -u)" = 0 ] || die "an engine of our own needs root"
F=$1; [ "${F#/}" != "$F" ] && [ ${#F} -le 80 ] || die "FOLDER must be an absolute path of at most 80 characters (sockets)"
mkdir -p "$F"
hosts="\"unix://$F/docker.sock\"" tls=""
if [ -n "${EVOGUARD_DOCKER_TLS:-}" ]; then
  hosts="$hosts, \"tcp://127.0.0.1:$EVOGUARD_DOCKER_TLS\""
  tls="\"tlsverify\": true, \"tlscacert\": \"$F/tls/ca.pem\", \"tlscert\": \"$F/tls/server-cert.pem\", \"tlskey\": \"$F/tls/server-key.pem\","
fi
# runsc of 2024 does not start in the host's network namespace unless it is told that there is no network.
cat >"$F/daemon.json" <<END
{"data-root": "$F/data", "exec-root": "$F/exec", "pidfile": "$F/dockerd.pid", "hosts": [$hosts], $tls
 "bridge": "none", "iptables": false, "ip-forward": false, "exec-opts": ["native.cgroupdriver=cgroupfs"],
 "runtimes": {"runsc": {"path": "$(./get-runsc.sh)", "runtimeArgs": ["--platform=systrap", "--network=none"]}}}
END
export PATH=$OUT/usr/sbin:$OUT/usr/bin:$PATH
exec setpriv --pdeathsig TERM dockerd --config-file "$F/daemon.json"
