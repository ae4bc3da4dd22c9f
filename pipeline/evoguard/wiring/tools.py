"""Tools that authors and tests use beside the guard: which there are, where they are, and how one is had."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from evoguard.adapters import go_tools
from evoguard.domain.canonical import Json

PURPOSES = {
    "opa": "checks, tests and compiles rules (`evoguard policy …`)",
    "regal": "more checks of rules' style (`evoguard policy lint`, editors)",
    "runsc": "gVisor built newer than Debian's package",
    "kube-apiserver": "the nightly tests of the Kubernetes manifest",
}


def listed() -> dict[str, Json]:
    """Return every tool: its version, where it is, empty when it is not built, and what it is for."""
    rows: list[Json] = []
    for name, tool in go_tools.known().items():
        there = go_tools.built(tool)
        rows.append({
            "name": name, "version": tool.version, "path": str(there) if there else "",
            "on_path": shutil.which(name) or "", "module": tool.package, "for": PURPOSES.get(name, ""),
        })  # fmt: skip
    return {"cache": str(go_tools.cache()), "tools": rows}


def got(names: Sequence[str], told: Callable[[str], None]) -> dict[str, Json]:
    """Return these tools, each built when it is not there; an unknown name is refused before anything is built.

    Raises: InputError, ConfigError, UnavailableError, IntegrityError as `go_tools.get`.
    """
    rows: list[Json] = []
    for tool in [go_tools.named(name) for name in names]:
        new = go_tools.built(tool) is None
        path = go_tools.get(tool, told)
        rows.append({"name": tool.name, "version": tool.version, "path": str(path), "built": new})
    return {"tools": rows}
