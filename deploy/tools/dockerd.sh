#!/usr/bin/env bash
# Run a Docker engine of our own in FOLDER, in the foreground, until it is told to end or its parent dies.
# It listens on FOLDER/docker.sock only (and, with EVOGUARD_DOCKER_TLS=port, on loopback with the keys of FOLDER/tls).
# Its runtimes are gVisor's `runsc` and `runc`. Debian's packages are unpacked into the tool cache when they are missing;
# nothing is installed. `dockerd.sh --fetch` only prints where they are.
set -euo pipefail
cd "$(dirname "$0")"
. ./debian.sh
OUT=$CACHE/docker
say() { printf '== setup: %s\n' "$*" >&2; }
die() { printf 'evoguard dockerd: %s\n' "$*" >&2; exit 1; }
fetch() {
  debian docker usr/sbin/dockerd says_its_version "" docker.io containerd runc || case $? in
    1) die "no Docker engine here and this is not a Debian with debian.sources";;
    2) die "apt-get could not fetch docker.io, containerd and runc";;
    *) die "the fetched dockerd does not run here";;
  esac
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
