"""One isolated run laid out for people: the verdict and what it rests on, its layers, tests, use, attempts."""

from __future__ import annotations

from collections.abc import Sequence

from evoguard.cli.brings_page import brings_page
from evoguard.cli.docs import Doc, docs_of, lines_of, rows_of
from evoguard.cli.regression_page import regression_page
from evoguard.cli.text import facts, line, table

SHOWN_TESTS, SHOWN_LINES, BAR = 15, 20, 12
GREEN = ("passed", "xpassed")


def evidence_page(doc: Doc) -> None:
    """Print one isolated run."""
    isolation = str(doc.get("isolation") or "NOT PROVED")
    facts(
        [("change", doc["change"]), ("verdict", doc.get("verdict") or "not told"), ("isolation", isolation)]
        + lines_of("rests on", doc["rests_on"])
        + [("behaviour", doc.get("behaviour", ""))]
        + lines_of("runtime", [doc.get("runtime") or ""])
        + [(name, doc.get(name, "")) for name in ("tree", "evidence")]
    )
    if isolation.startswith("unsafe-"):
        facts([("NOTE", "this room is no guard: what ran in it could reach the host; the shipped policies deny it")])
    line()
    _against_base(doc)
    _layers(docs_of(doc["layers"]))
    _scan(doc.get("scan"))
    brings_page(doc.get("inspection"))
    regression_page(doc.get("regression"))
    _tests(docs_of(doc["tests"]))
    _used(docs_of(doc["used"]))
    _network(docs_of(doc["network"]))
    _listed("findings", docs_of(doc["findings"]))
    _listed("no test proves this; look at it", docs_of(doc["review"]))
    _unstable(docs_of(doc["unstable"]))
    if notes := rows_of(doc["notes"]):
        facts(pair for note in notes for pair in lines_of("note", [note]))
        line()
    _record([str(row) for row in rows_of(doc["record"])])


def bar(part: int, whole: int) -> str:
    """Return a bar as long as the part is of the whole, with an edge for the rest; never empty, never longer."""
    full = min(BAR, max(1, round(BAR * part / whole))) if whole > 0 else 0
    return "█" * full + "░" * (BAR - full)


def _against_base(doc: Doc) -> None:
    rows = docs_of(doc["against_base"])
    line(f"tests: {doc['run']} of the base's {doc['expected']} ran, {doc['added']} new; {doc['wall_ms']} ms")
    if rows:
        table(("outcome", "the base's", "new"), ([r["outcome"], r["base_tests"], r["new_tests"]] for r in rows))


def _layers(layers: Sequence[Doc]) -> None:
    rows = ([r["layer"], r["reach"], ", ".join(map(str, rows_of(r["caught"]))) or "-"] for r in layers)
    table(("layer", "reach", "caught"), rows)


def _tests(tests: Sequence[Doc]) -> None:
    """Print the tests that were not green, then the slowest, each with a bar as long as its share of the slowest."""
    order = sorted(tests, key=lambda t: (t["outcome"] in GREEN, -_number(t["duration_ms"])))
    longest = max((_number(test["duration_ms"]) for test in tests), default=0) or 1
    if order:
        line("not green first, then the slowest")
        rows = (
            [t["outcome"], t["duration_ms"], bar(_number(t["duration_ms"]), longest), t["id"]]
            for t in order[:SHOWN_TESTS]
        )
        table(("outcome", "ms", "", "test"), rows)
    if len(tests) > SHOWN_TESTS:
        line(f"... and {len(tests) - SHOWN_TESTS} more tests; --json lists them")
        line()


def _scan(scan: object) -> None:
    """Print what the scanner found that is new, and what it could not read; a run without a scan has none."""
    if not isinstance(scan, dict) or not scan:
        return
    told = f"{scan['read']} of {scan['asked']} changed files read by {scan['tool'] or 'no scanner'}"
    line(f"scan: {scan['status']}; {told}, {scan['known']} old findings{'; ' + scan['why'] if scan['why'] else ''}")
    hits = docs_of(scan["new"])
    rows = ([h["severity"], f"{h['path']}:{h['line']}", h["rule"], h["msg"]] for h in hits[:SHOWN_LINES])
    if hits:
        table(("severity", "new at", "rule", "what"), rows)
        _more(len(hits) + _number(scan["omitted"]), "new findings")
    for path in rows_of(scan["unread"]):
        line(f"  not read: {path}")
    line()


def _used(used: Sequence[Doc]) -> None:
    rows = []
    for row in used:
        most, limit = _number(row["used"]), _number(row["limit"])
        shown = f"{100 * most // limit} %" if limit else ""
        of = _amount(limit, str(row["unit"])) if limit else "no limit a run"
        rows.append([row["what"], _amount(most, str(row["unit"])), of, bar(most, limit) if limit else "", shown])
    if rows:
        table(("used", "at most", "limit", "", "share"), rows)


def _amount(number: int, unit: str) -> str:
    if unit == "bytes":
        return f"{number / (1 << 20):.0f} MiB"
    return f"{number / 1000:.1f} s" if unit == "ms" else str(number)


def _network(attempts: Sequence[Doc]) -> None:
    if attempts:
        line("tried to reach the network, denied")
        names = ("process", "address", "port")
        table(names, ([row[name] for name in names] for row in attempts[:SHOWN_LINES]))
        _more(len(attempts), "attempts")


def _listed(title: str, findings: Sequence[Doc]) -> None:
    if findings:
        line(title)
        # The message names the path and the line already.
        rows = dict.fromkeys((str(f.get("code", "")), str(f.get("msg", ""))) for f in findings)
        table(("code", "what"), rows)


def _unstable(tests: Sequence[Doc]) -> None:
    if tests:
        line("unstable: these do not come out the same each time on the base, and judge nothing")
        names = ("quarantine", "until", "owner", "reason", "test")
        table(names, ([row[name] for name in names] for row in tests[:SHOWN_LINES]))
        _more(len(tests), "unstable tests")


def _record(record: Sequence[str]) -> None:
    if record:
        line("behaviour, recorded outside the guest")
        for row in record[:SHOWN_LINES]:
            line(f"  {row}")
        _more(len(record), "lines")


def _more(count: int, what: str) -> None:
    if count > SHOWN_LINES:
        line(f"... and {count - SHOWN_LINES} more {what}; --json lists them")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
