"""Counters of this process, by component. They are the service's own word: nobody has to believe them."""

from __future__ import annotations

COUNTERS: dict[str, dict[str, int]] = {}


def answered(component: str) -> None:
    """Count one answered request."""
    _of(component)["requests"] += 1


def failed(component: str) -> None:
    """Count one request that was answered with an error."""
    _of(component)["errors"] += 1


def snapshot() -> dict[str, dict[str, int]]:
    """Return a copy of all counters."""
    return {component: dict(counts) for component, counts in COUNTERS.items()}


def _of(component: str) -> dict[str, int]:
    return COUNTERS.setdefault(component, {"requests": 0, "errors": 0})
