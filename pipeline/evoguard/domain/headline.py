"""Of many findings, the one that tells most: causes before what they cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evoguard.domain.canonical import Json

MAX_MSG = 400
_CAUSES = ("sandbox.void", "sandbox.crashed", "sandbox.limit_", "tests.base_not_green")
"""While one of these holds, the tests' own words mean little."""
_EFFECTS = frozenset({"tests.none_ran", "tests.missing", "tests.extra", "tests.unexpected_skip"})
"""Counts that nearly always follow from another finding."""


def headline(findings: Sequence[Mapping[str, Json]]) -> str:
    """Return the message of the finding that explains most, and how many more there are; empty without findings.

    A test file that cannot be read (a syntax error) explains that its tests are missing, so it comes first. The order
    of the findings decides between equals.
    """
    if not findings:
        return ""
    first = min(findings, key=_rank)
    more = f" (+{len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{str(first.get('msg', ''))[:MAX_MSG]}{more}"


def _rank(finding: Mapping[str, Json]) -> int:
    code, msg, term = (str(finding.get(name, "")) for name in ("code", "msg", "term"))
    if code.startswith(_CAUSES):
        return 0
    if code == "tests.failed" and term and msg.startswith(f"{term}: could not be collected"):
        return 1
    return 3 if code in _EFFECTS else 2
