"""Who owns a path, as the file of code owners at the base says; the last line that matches holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evoguard.domain import globs

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""Where the file may be; the first that is there holds."""
MOST_RULES, MOST_OWNERS, MOST_NAME, MOST_PATHS = 1_000, 20, 100, 500
UNREAD = "(owners that cannot be told: CODEOWNERS or the change is too large)"
"""Stands for owners where a bound was met: nobody is called so, and nothing passes for being too much to read."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Pattern forms and names, in the order of the file."""

    rules: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    whole: bool = True

    def of(self, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return path → owners; a path that no line matches is left out."""
        return {path: names for path in paths if (names := self._of(path))}

    def groups(
        self, paths: Sequence[str], owned: Mapping[str, tuple[str, ...]]
    ) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return each set of owners once, with the first of the paths that is theirs.

        `owned` are the owners of the first `MOST_PATHS` paths; behind them nobody looked.
        """
        if paths and not self.whole:
            return ((paths[0], (UNREAD,)),)
        found: dict[tuple[str, ...], str] = {}
        for path, names in owned.items():
            found.setdefault(names, path)
        rest = tuple((path, (UNREAD,)) for path in paths[MOST_PATHS : MOST_PATHS + 1] if self.rules)
        return (*((path, names) for names, path in found.items()), *rest)

    def _of(self, path: str) -> tuple[str, ...]:
        for patterns, names in reversed(self.rules):
            if any(globs.matches(pattern, path) for pattern in patterns):
                return names
        return ()


def parse(raw: bytes | None) -> Owners:
    """Read the file; lines that are no rule, or use more than `*`, `**` and `?`, are passed over."""
    rules: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for line in (raw or b"").decode("utf-8", "replace").splitlines():
        pattern, *names = line.split("#", 1)[0].split() or [""]
        if forms := _forms(pattern):
            rules.append((forms, tuple(name[:MOST_NAME] for name in names[:MOST_OWNERS])))
        if len(rules) > MOST_RULES:  # the last that matches holds, so what is behind it cannot be left out
            return Owners(whole=False)
    return Owners(tuple(rules))


def _forms(pattern: str) -> tuple[str, ...]:
    """Return a pattern of the file as globs: anchored by a slash inside it, and covering what lies below a folder."""
    inner = pattern.strip("/")
    if not inner or set(pattern) & set("!{}") or not globs.readable(inner) or len(inner) > globs.MOST_CHARS - 6:
        return ()
    anchored = "/" in pattern.rstrip("/")
    tops = (inner,) if anchored else (inner, f"**/{inner}")
    exact = () if pattern.endswith("/") else tops
    below = () if anchored and inner.rpartition("/")[2] == "*" else tuple(f"{top}/**" for top in tops)
    return (*exact, *below)
