"""Suites that are not ours: which packages, at which bytes, with which test dependencies, and what was left out."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoguard.adapters import tool_cache
from evoguard_sandbox import Interpreter
from evoguard_sandbox.installing.locks import normal, parse
from evoguard_sandbox.layers import build

LISTING, LOCK = Path(__file__).with_name("suites.toml"), Path(__file__).with_name("suites.lock")


@dataclass(frozen=True, slots=True)
class RealSuite:
    """One released package with its own tests. `sha256` is that of its sdist; `needs` names pins of `suites.lock`."""

    name: str
    version: str
    sha256: str
    needs: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """Lines of a pytest.ini that stands for the package's own configuration; none: its own is used."""
    addopts: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    """Folders and files of the sdist that hold no tests of the package itself, such as benchmarks."""
    without: Mapping[str, str] = field(default_factory=dict)
    """Test ids, or the files they are in, that cannot run here by their nature: id → the reason."""

    @property
    def title(self) -> str:
        """Name the release."""
        return f"{self.name} {self.version}"

    @property
    def ini(self) -> str:
        """Return the pytest.ini that takes the place of the package's configuration; empty to leave it alone."""
        if not (self.options or self.addopts or self.without):
            return ""
        words = [*self.addopts, *(f"--deselect={name}" for name in self.without)]
        return "\n".join(["[pytest]", *self.options, *([f"addopts = {shlex.join(words)}"] if words else []), ""])


@dataclass(frozen=True, slots=True)
class Listing:
    """All suites, and the packages that were looked at and are not among them, by name → reason."""

    suites: tuple[RealSuite, ...]
    excluded: Mapping[str, str]
    quick: tuple[str, ...]


def listing() -> Listing:
    """Return what is listed. Raises: TypeError for a key that a suite does not have."""
    told = tomllib.loads(LISTING.read_text(encoding="utf-8"))
    return Listing(tuple(_suite(row) for row in told["suite"]), told["excluded"], tuple(told["quick"]))


def _suite(row: dict[str, Any]) -> RealSuite:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return RealSuite(**fields)


def layers(suite: RealSuite) -> tuple[Path, ...]:
    """Return the suite's dependencies as one read-only layer, built once; none when it needs none.

    Raises: LayerError; KeyError for a name that the lock does not pin.
    """
    if not suite.needs:
        return ()
    pins = {normal(pin.name): pin for pin in parse(LOCK.read_bytes())}
    chosen = [pins[normal(name)] for name in suite.needs]
    lines = (f"{p.name}=={p.version} " + " ".join(f"--hash=sha256:{h}" for h in sorted(p.hashes)) for p in chosen)
    lock = "".join(f"{line}\n" for line in lines).encode()
    layer = build(lock, folder=tool_cache.cache() / "suite-layers", python=Interpreter.current())
    return (layer.path,)
