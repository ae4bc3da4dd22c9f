"""Which of a change's new versions an advisory covers that did not cover what the base has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evoguard.domain.canonical import Json
from evoguard.supply.inspection import MOST_ROWS, Inspection, Package
from evoguard.supply.osv import affects, name_of
from evoguard.supply.types import short

Advice = Mapping[Package, Sequence[Mapping[str, Json]]]
"""Stored rows of advisories by package."""


def vulnerable(found: Inspection, advice: Advice) -> tuple[list[Mapping[str, Json]], int]:
    """Return the new vulnerable versions, worst known first per package, and how many are not listed.

    An advisory that covers a version of the same package at the base is old: the change does not add it.
    """
    rows: dict[tuple[str, str, str, str], Mapping[str, Json]] = {}
    for one in found.brought:
        what = one.dependency
        package = (what.ecosystem, name_of(what.ecosystem, what.name))
        versions = [version for eco, name, version in found.held if (eco, name) == package and version]
        for row in advice.get(package, ()):
            old = any(affects(package[0], row, version) for version in versions)
            if what.version and not old and affects(package[0], row, what.version):
                key = (str(row["id"]), *package, what.version)
                rows[key] = {
                    "id": row["id"], "severity": row["severity"], "ecosystem": what.ecosystem,
                    "name": short(what.said, 120), "version": short(what.version, 80), "path": what.path,
                    "line": what.line,
                }  # fmt: skip
    listed = [rows[key] for key in sorted(rows)]
    return listed[:MOST_ROWS], max(0, len(listed) - MOST_ROWS)
