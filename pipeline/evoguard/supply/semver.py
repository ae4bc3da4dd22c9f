"""Semantic versions as npm and Go order them, and npm's ranges. What cannot be read is None, never a guess."""

from __future__ import annotations

import re

Parts = tuple[int, int, int, tuple[tuple[int, int, str], ...]]
"""Major, minor, patch, and the pre-release as sort keys; a release sorts above each of its pre-releases."""
_FULL = re.compile(
    r"[v=\s]*(\d{1,15})\.(\d{1,15})\.(\d{1,15})(?:-([0-9A-Za-z.-]{1,100}))?(?:\+[0-9A-Za-z.-]{1,100})?\Z"
)
_PARTIAL = re.compile(
    r"[v=]*(\d{1,15}|[xX*])(?:\.(\d{1,15}|[xX*]))?(?:\.(\d{1,15}|[xX*]))?(?:-([0-9A-Za-z.-]{1,100}))?(?:\+[\w.-]*)?\Z"
)
_COMPARATOR = re.compile(r"(\^|~>?|>=|<=|>|<|=)?\s*([v=]*[0-9xX*][^\s]*)")
_RELEASE = ((1, 0, ""),)
MOST_RANGE = 500


def parse(text: str) -> Parts | None:
    """Return a version's sort key, or None when it is no semantic version."""
    found = _FULL.match(text.strip())
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    return int(major), int(minor), int(patch), _pre(pre)


def loose(text: str) -> Parts | None:
    """Return as `parse`, with missing minor and patch read as 0: databases write `0` and `1.2` for bounds."""
    found = _PARTIAL.match(text.strip())
    if found is None or any(part and part in "xX*" for part in found.groups()[:3]):
        return None
    major, minor, patch, pre = found.groups()
    return int(major), int(minor or 0), int(patch or 0), _pre(pre)


def satisfies(version: str, spec: str) -> bool | None:
    """Tell whether npm would take the version for the range; None when one of them cannot be read (a tag, a URL)."""
    held = parse(version)
    if held is None or len(spec) > MOST_RANGE:
        return None
    answers = [_all(held, part.strip()) for part in spec.split("||")]
    if any(answer is True for answer in answers):
        return True
    return None if None in answers else False


def _all(held: Parts, spec: str) -> bool | None:
    if spec in ("", "*", "x", "X", "latest"):
        return True if spec != "latest" else None
    if " - " in spec:
        low, _, high = spec.partition(" - ")
        spec = f">={low.strip()} <={high.strip()}"
    rest = _COMPARATOR.sub("", spec).strip()
    if rest:
        return None
    bounds: list[tuple[str, Parts]] = []
    for sign, text in _COMPARATOR.findall(spec):
        made = _bounds(sign, text)
        if made is None:
            return None
        bounds += made
    if held[3] != _RELEASE and not any(held[:3] == bound[:3] and bound[3] != _RELEASE for _, bound in bounds):
        return False  # npm takes a pre-release only where the range names one of the same version
    return all(_holds(held, sign, bound) for sign, bound in bounds)


def _bounds(sign: str, text: str) -> list[tuple[str, Parts]] | None:
    found = _PARTIAL.match(text)
    if found is None:
        return None
    given = [None if part is None or part in "xX*" else int(part) for part in found.groups()[:3]]
    if given[0] is None:
        return []
    major, minor, patch = given[0], given[1], given[2]
    low: Parts = (major, minor or 0, patch or 0, _pre(found.group(4)))
    least = ((0, 0, ""),)
    if sign == "^":
        top = (
            (major + 1, 0, 0)
            if major or minor is None
            else (0, minor + 1, 0)
            if minor or patch is None
            else (0, 0, patch + 1)
        )
        return [(">=", low), ("<", (*top, least))]
    if sign.startswith("~") or (sign in ("", "=") and (minor is None or patch is None)):
        top = (major + 1, 0, 0) if minor is None else (major, minor + 1, 0)
        return [(">=", low), ("<", (*top, least))]
    if sign in (">", "<=") and (minor is None or patch is None):
        top = (major + 1, 0, 0) if minor is None else (major, minor + 1, 0)
        return [(">=" if sign == ">" else "<", (*top, least))]
    return [(sign or "=", low)]


def _holds(held: Parts, sign: str, bound: Parts) -> bool:
    return {
        ">=": held >= bound, "<=": held <= bound, ">": held > bound, "<": held < bound, "=": held == bound,
    }[sign]  # fmt: skip


def _pre(text: str | None) -> tuple[tuple[int, int, str], ...]:
    """Return sort keys: numbers below words, fewer fields below more, and each below a release."""
    if text is None:
        return _RELEASE
    return tuple(
        (0, int(part), "") if part.isdigit() and len(part) < 16 else (0, 1 << 60, part) for part in text.split(".")
    )
