# shellcheck shell=bash
# To be sourced: programs of Debian's packages, unpacked into the tool cache. Nothing is installed, and the system's
# package sources stay untouched: the lists live in the cache.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/evoguard/tools

# debian NAME PROGRAM RUNS SUITE PACKAGE...: have $CACHE/NAME hold PROGRAM, which RUNS accepts, out of PACKAGEs of SUITE
# (empty: the system's own). Calls `say` before it fetches. Returns 1 on no Debian, 2 when nothing can be fetched, 3 for
# a program that does not run. Every step says what follows its failure: who calls it in a condition has no `set -e`.
debian() {
  local name=$1 program=$2 runs=$3 suite=$4 T O done=0; shift 4
  [ -x "$CACHE/$name/$program" ] && return 0
  command -v apt-get >/dev/null && [ -e /etc/apt/sources.list.d/debian.sources ] || return 1
  mkdir -p "$CACHE" || return 2
  exec 9>"$CACHE/.$name.lock"; flock 9
  if [ ! -x "$CACHE/$name/$program" ]; then
    say "$* (Debian packages, unpacked into the tool cache)"
    T=$(mktemp -d "$CACHE/.$name.XXXXXX") || return 2
    # shellcheck disable=SC2064  (this folder, whatever T is later)
    trap "rm -rf '$T'" EXIT
    mkdir -p "$T"/{lists/partial,parts,cache/archives/partial}
    O="-qq -o Dir::State::Lists=$T/lists -o Dir::Cache=$T/cache -o APT::Sandbox::User= -o Debug::NoLocking=1"
    if [ -n "$suite" ]; then
      sed -E "s/^Suites:.*/Suites: $suite/" /etc/apt/sources.list.d/debian.sources | awk 'BEGIN{RS=""} NR==1' > "$T/parts/$suite.sources"
      O="$O -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$T/parts"
    fi
    # a container image's own clean-up hook may complain about folders that only root may empty
    # shellcheck disable=SC2086
    { (cd "$T" && apt-get $O update && apt-get $O download "$@") 2> >(grep -v "^rm: cannot remove" >&2) >&2 && _unpacked "$T"; } || done=2
    if [ "$done" = 0 ]; then "$runs" "$T/x/$program" || done=3; fi
    if [ "$done" = 0 ]; then { rm -rf "${CACHE:?}/$name" && mv "$T/x" "$CACHE/$name"; } || done=2; fi
    rm -rf "$T"; trap - EXIT
  fi
  exec 9>&-  # what is started later must not keep the lock
  return "$done"
}

_unpacked() { local deb; for deb in "$1"/*.deb; do dpkg-deb -x "$deb" "$1/x" || return; done; }

says_its_version() { "$1" --version >/dev/null 2>&1; }
