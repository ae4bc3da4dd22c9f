"""One isolated run as people look at it: which layer saw what, the tests by outcome and time, what was used and tried.

Evidence that was stored by an older version lacks some of it; what is not there is shown as nothing, never guessed.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from evoguard.domain.canonical import Json
from evoguard.errors import InputError
from evoguard.views.assurance import assurance_words, whole
from evoguard.views.changes import found
from evoguard.views.reader import Doc, Reader
from evoguard.views.story import load, newest

LAYERS: Mapping[str, tuple[str, ...]] = {
    "room": ("sandbox.",),
    "base tests over the candidate": (
        "tests.base", "tests.config", "tests.not_trusted", "tests.missing",
        "tests.vanished", "tests.extra", "tests.failed",
        "tests.unexpected_skip", "tests.none_ran", "tests.is_the_runner", "input.",
    ),
    "supervisor": ("tests.forged_frames", "tests.ended_early", "tests.runner_patched"),
    "mutants": ("tests.mutant_passed",),
    "apart from the code": ("tests.split",),
    "held-out tests": ("tests.held_out",),
    "same calls on base and candidate": ("review.differs", "review.not_compared"),
    "a look at the code": ("review.",),
}  # fmt: skip
"""Which layer of the verdict a finding's code belongs to, by its beginning (docs/adr/0005-the-verdict.md)."""
REST = "something else"
NAMES = ("verdict", "assurance", "isolation", "behaviour", "runtime", "expected", "run", "added", "failed", "wall_ms")
USED = (("memory", "memory_bytes"), ("tasks", "tasks"), ("wall time", "wall_ms"), ("processor time", "cpu_ms"))


async def evidence(reader: Reader, change: str) -> Doc:
    """Return the newest evidence of a change, by layer. Raises: InputError when nothing was run yet."""
    await found(reader, change)
    stored = await reader.events(f"change/{change}")
    digest = newest(stored, "candidate.checked", "evidence")
    if not digest:
        raise InputError(f"{change} has no evidence yet", code="evidence.none", fix=f"see `evoguard show {change}`")
    doc, impact = await load(reader, digest), newest(stored, "change.mapped", "impact")
    scan = newest(stored, "candidate.scanned", "scan")
    brings = newest(stored, "candidate.inspected", "inspection")
    answers = newest(stored, "candidate.replayed", "regression")
    quarantine = _docs((await load(reader, impact)).get("quarantine")) if impact else []
    at_s = next(i.at for i in reversed(stored) if i.event.type == "candidate.checked") // 1000
    held_out = newest(stored, "candidate.checked", "held_out")
    return {
        "change": change,
        "evidence": digest,
        **laid_out(doc, held_out, quarantine=quarantine, at_s=at_s),
        "scan": {**await load(reader, scan), "digest": scan} if scan else {},
        "inspection": {**await load(reader, brings), "digest": brings} if brings else {},
        "regression": {**await load(reader, answers), "digest": answers} if answers else {},
    }


def laid_out(
    doc: Mapping[str, Json], held_out: str = "", *, quarantine: Sequence[Mapping[str, Json]], at_s: int
) -> dict[str, Json]:
    """Return evidence by layer; of an unstable test also its quarantine, as it was at `at_s` (unix seconds)."""
    tests, findings, review = (_docs(doc.get(name)) for name in ("tests", "findings", "review"))
    record = doc.get("record", [])
    return {
        "tree": doc.get("tree", ""),
        **{name: doc.get(name) for name in NAMES},
        "split": whole(doc.get("split")),
        "rests_on": assurance_words(doc, held_out),
        "outcomes": dict(Counter(str(test.get("outcome")) for test in tests)),
        "against_base": _against_base(doc, tests),
        "layers": _layers(doc, [*findings, *review]),
        "tests": tests,
        "findings": findings,
        "review": review,
        "unstable": _unstable(doc, quarantine, at_s),
        "used": _used(doc),
        "network": _network(record),
        "record": record,
        "notes": doc.get("notes", []),
    }


def _against_base(doc: Mapping[str, Json], tests: Sequence[Mapping[str, Json]]) -> list[Json]:
    """Return each outcome's count among the base's tests and among the candidate's new ones, as the evidence has them.

    The list of tests is bounded: `not listed` are those that ran and are not in it.
    """
    run, expected, added = (whole(doc.get(name)) for name in ("run", "expected", "added"))
    old = Counter(str(test.get("outcome")) for test in tests[:run])
    new = Counter(str(test.get("outcome")) for test in tests[run:])
    rows: list[Json] = [
        {"outcome": name, "base_tests": old[name], "new_tests": new[name]} for name in sorted(old.keys() | new.keys())
    ]
    unlisted, unlisted_new = run - old.total(), added - new.total()
    if unlisted > 0 or unlisted_new > 0:
        rows.append({"outcome": "not listed", "base_tests": max(0, unlisted), "new_tests": max(0, unlisted_new)})
    if expected > run:
        rows.append({"outcome": "never reported", "base_tests": expected - run, "new_tests": 0})
    return rows


def _layers(doc: Mapping[str, Json], findings: Sequence[Mapping[str, Json]]) -> list[Json]:
    """Return each layer's reach and catch; a finding counts for the first layer that its code fits."""
    caught: dict[str, list[str]] = {name: [] for name in LAYERS}
    for finding in findings:
        code = str(finding.get("code"))
        layer = next((name for name, codes in LAYERS.items() if code.startswith(codes)), REST)
        caught.setdefault(layer, []).append(code)
    expected, unproven, split = (whole(doc.get(key)) for key in ("expected", "unproven", "split"))
    reach = {
        "mutants": f"{max(0, expected - unproven)} of {expected} tests seen to fail when made false",
        "apart from the code": f"{split} of {expected} tests",
        "held-out tests": _held_out(doc, caught["held-out tests"]),
        "same calls on base and candidate": _compared(doc),
    }
    return [
        {"layer": name, "reach": reach.get(name, ""), "caught": [*dict.fromkeys(codes)], "findings": len(codes)}
        for name, codes in caught.items()
    ]


def _held_out(doc: Mapping[str, Json], caught: Sequence[str]) -> str:
    if caught:
        return "not passed"
    return "passed, apart from the code" if doc.get("assurance") == "held-out" else "none, or none apart from the code"


def _compared(doc: Mapping[str, Json]) -> str:
    told = doc.get("compared")
    if not isinstance(told, list) or len(told) != 2:
        return "not told by the version that ran it"
    calls, functions = map(whole, told)
    if calls:
        return f"{calls} calls of {functions} function{'s' if functions != 1 else ''}"
    return "none: no such call in the tests, or no pass" if doc.get("passed") else "not made: it did not pass"


def _unstable(doc: Mapping[str, Json], quarantine: Sequence[Mapping[str, Json]], at_s: int) -> list[Json]:
    """Return the unstable tests, each with the state of its quarantine when the candidate was checked."""
    ids, known = doc.get("unstable"), {str(entry.get("test")): entry for entry in quarantine}
    return (
        [{"test": str(one), **_quarantine(known.get(str(one)), at_s)} for one in ids] if isinstance(ids, list) else []
    )


def _quarantine(entry: Mapping[str, Json] | None, at_s: int) -> Doc:
    if entry is None:
        return {"quarantine": "none", "until": "", "reason": "", "owner": ""}
    until = whole(entry.get("until"))
    return {
        "quarantine": "set aside" if until > at_s else "run out",
        "until": datetime.fromtimestamp(until, UTC).date().isoformat(),
        "reason": entry.get("reason", ""),
        "owner": entry.get("owner", ""),
    }


def _used(doc: Mapping[str, Json]) -> list[Json]:
    """Return what was used of what one sandbox may use; 0 as a limit means that none is set, or none was told."""
    usage, limits = (_doc(doc.get(name)) for name in ("usage", "limits"))
    return [
        {
            "what": what,
            "unit": name.rpartition("_")[2],
            "used": whole(usage.get(name)),
            "limit": whole(limits.get(name)),
        }
        for what, name in USED
        if whole(usage.get(name))
    ]


def _network(record: Json) -> list[Json]:
    """Return the attempts to reach outside, from the record that was taken outside the guest. All were denied."""
    rows: list[Json] = []
    for line in record if isinstance(record, list) else []:
        parts = str(line).rsplit(" ", 3)
        if not parts[0].startswith("connect ") or len(parts) != 4 or parts[1] not in ("inet", "inet6"):
            continue
        if parts[3] != "53" and _loopback(parts[2]):
            continue
        rows.append({"process": parts[0].removeprefix("connect "), "address": parts[2], "port": parts[3]})
    return rows


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _doc(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _docs(value: Json) -> list[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
