"""Whose turn it is: one open rollout a component, others wait visibly."""

from __future__ import annotations

from typing import Protocol


class Lanes(Protocol):
    """The order of changes on one component."""

    async def turn(self, repo: str, component: str) -> str:
        """Return the change that may roll out now: the open one, else the one that was approved first, else ''."""

    async def owner(self, flag: str, repo: str, component: str) -> str:
        """Return a change of another repository or component that released behind this flag, else an empty text.

        Asked when a change is mapped, and again when its turn has come: the answer may have changed in between.
        """

    async def submitted(self, author: str, repo: str, since_ms: int) -> int:
        """Return how many changes an author submitted to a repository since then (unix ms)."""

    async def earlier(self, change: str, component: str) -> tuple[str, ...]:
        """Return the open, unreleased changes that `change` supersedes: same author, repository, component, older."""
