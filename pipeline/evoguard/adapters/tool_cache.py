"""Where gVisor, the runner layer and the scanner's engine are found: settings, PATH, then what set-up made."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from evoguard.errors import ConfigError

SETUP = "run `make setup` in evoguard's checkout"
MEND = "run `make setup` in evoguard's checkout, or install gVisor's runsc of 2024 or later"


def cache() -> Path:
    """Return evoguard's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evoguard"


def own_folder(name: str) -> Path:
    """Return a folder of the cache, made for this user alone. Raises: ConfigError when others can reach into it."""
    folder = cache() / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.lstat()
    if folder.is_symlink() or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise ConfigError(f"{folder} is not ours alone", code="cache.exposed", fix=f"remove it, or chmod 700 {folder}")
    return folder


def runsc_path(configured: str = "") -> Path:
    """Return gVisor's runsc, the configured one first. Raises: ConfigError; without it no untrusted code runs."""
    for found in (configured, shutil.which("runsc"), cache() / "tools" / "runsc" / "usr" / "bin" / "runsc"):
        if found and os.access(found, os.X_OK):
            return Path(found)
    raise ConfigError(
        "gVisor's runsc is missing; without it no untrusted code runs", code="sandbox.runsc_missing", fix=MEND
    )


def layer_dir(configured: str = "") -> Path:
    """Return the configured runner layer, else the one that set-up noted in this environment, else a fitting one.

    The cache may hold layers of other checkouts and of other Pythons; a layer fits when it was made for this Python.
    Raises: ConfigError when there is none.
    """
    if configured:
        return Path(configured)
    found = _found("runner", f"{sys.version_info[0]}.{sys.version_info[1]}-")
    if found is None:
        raise ConfigError("the sandbox's runner layer is missing", code="sandbox.layer_missing", fix=MEND)
    return found


def semgrep_dir() -> Path:
    """Return the folder of semgrep's engine; whoever uses it verifies it. Raises: ConfigError when there is none."""
    found = _found("semgrep", f"{platform.machine()}-")
    if found is None:
        raise ConfigError("semgrep's engine is missing; no change can be scanned", code="scan.tool_missing", fix=SETUP)
    return found


def _found(kind: str, fits: str) -> Path | None:
    noted = _noted_layer(Path(sys.prefix) / f"evoguard-{kind}-layer")
    if noted is not None:
        return noted
    there = sorted((cache() / "layers").glob(f"{kind}-{fits}*"), key=lambda p: p.stat().st_mtime)
    return there[-1] if there else None


def _noted_layer(note: Path) -> Path | None:
    try:
        layer = Path(note.read_text(encoding="utf-8").strip())
    except OSError:
        return None
    return layer if layer.is_absolute() and layer.is_dir() else None
