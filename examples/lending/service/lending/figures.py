"""Read the figures of an application; what is missing or impossible goes to a person, never to a guess."""

from __future__ import annotations

from collections.abc import Mapping

Application = Mapping[str, object]


class NeedsPersonError(ValueError):
    """The application cannot be decided by rule; a person must look at it."""


def figure(application: Application, name: str) -> float:
    """Return a figure that is a number of at least zero. Raises: NeedsPersonError when it is missing or is none."""
    value = application.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise NeedsPersonError(f"{name} is missing")
    return float(value)


def positive(application: Application, name: str) -> float:
    """Return a figure above zero. Raises: NeedsPersonError otherwise."""
    value = figure(application, name)
    if value <= 0:
        raise NeedsPersonError(f"{name} is zero")
    return value
