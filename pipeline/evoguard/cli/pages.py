"""Answers laid out for people. Everything printed here goes through `text.shown`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from evoguard.cli.text import facts, line, table

Doc = Mapping[str, object]
SHOWN_FILES = 60
SHOWN_TESTS = 15


def row_page(doc: Doc) -> None:
    """Print one change's row."""
    facts(doc.items())


def overview_page(doc: Doc) -> None:
    """Print what is open and killed."""
    counted = ", ".join(f"{count} {name}" for name, count in _doc(doc["by_status"]).items())
    facts([("state", doc["state"]), ("open", f"{doc['open']}" + (f": {counted}" if counted else ""))])
    if waiting := _rows(doc["waiting_for_approval"]):
        facts([("waits for people", ", ".join(str(change) for change in waiting))])
    if rolling := _docs(doc["rolling_out"]):
        table(
            ("change", "percent", "component", "flag"),
            ([r["change"], r["percent"], r["component"], r["flag"]] for r in rolling),
        )
    if unreadable := _rows(doc["unreadable_latches"]):
        line(f"EVERYTHING IS KILLED: unreadable latches: {', '.join(str(name) for name in unreadable)}")
    if kills := _docs(doc["kills"]):
        names = ("kill", "scope", "name", "by", "at", "reason")
        table(names, ([kill[name] for name in names] for kill in kills))


def story_page(doc: Doc) -> None:
    """Print a change's story."""
    head = ("change", "status", "outcome", "percent", "component", "flag", "author", "intent", "repo", "base", "head",
            "tree", "attestation", "created", "updated", "detail")  # fmt: skip
    facts((name, doc.get(name, "")) for name in head)
    line()
    table(("at", "step", "event", "who", "why", "facts", "digests"), (_step_row(step) for step in _docs(doc["steps"])))
    _section("evidence", _doc(doc["evidence"]), ("not_passed", "record", "findings"))
    _section("decision", _doc(doc["decision"]), ("deny", "escalate", "notes", "rules_seen"))
    _section("approval", _doc(doc["approval"]), ("votes",))
    findings_page([f for step in _docs(doc["steps"]) for f in _docs(step["findings"])])
    if record := _rows(_doc(doc["evidence"]).get("record")):
        line("behaviour, recorded outside the guest")
        for row in record:
            line(f"  {row}")
    files_page(_docs(doc["files"]))
    if votes := _docs(_doc(doc["approval"]).get("votes")):
        names = ("by", "kind", "verdict", "at", "expires", "reason")
        table(names, ([vote.get(name, "") for name in names] for vote in votes))


def evidence_page(doc: Doc) -> None:
    """Print one isolated run: the verdict, its layers, the slowest tests as bars, what was tried."""
    names = ("change", "verdict", "assurance", "isolation", "behaviour", "runtime", "tree", "evidence")
    facts((name, doc.get(name, "")) for name in names)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(_doc(doc["outcomes"]).items()))
    facts([("tests", f"{counted or 'none'}; {doc['expected']} expected, {doc['added']} new; {doc['wall_ms']} ms")])
    line()
    table(
        ("layer", "reach", "caught"),
        (
            [row["layer"], row["reach"], ", ".join(map(str, _rows(row["caught"]))) or "-"]
            for row in _docs(doc["layers"])
        ),
    )
    _slowest(_docs(doc["tests"]))
    findings_page(_docs(doc["findings"]))
    if record := _rows(doc["record"]):
        line("behaviour, recorded outside the guest")
        for row in record:
            line(f"  {row}")


def _slowest(tests: Sequence[Doc]) -> None:
    """Print the tests that were not green, then the slowest, each with a bar as long as its share of the slowest."""
    order = sorted(tests, key=lambda t: (t["outcome"] in ("passed", "xpassed"), -int(str(t["duration_ms"]))))
    longest = max((int(str(test["duration_ms"])) for test in tests), default=0) or 1
    shown_tests = order[:SHOWN_TESTS]
    if shown_tests:
        bars = ("█" * max(1, round(20 * int(str(test["duration_ms"])) / longest)) for test in shown_tests)
        rows = ([t["outcome"], t["duration_ms"], bar, t["id"]] for t, bar in zip(shown_tests, bars, strict=True))
        table(("outcome", "ms", "", "test"), rows)
    if len(tests) > SHOWN_TESTS:
        line(f"... and {len(tests) - SHOWN_TESTS} more tests; --json lists them")


def asked_page(doc: Doc, *, to_stderr: bool = False) -> None:
    """Print exactly what a person is about to sign."""
    tests, component = _doc(doc["tests"]), _doc(doc["component"])
    pairs: list[tuple[str, object]] = [
        (name, doc[name]) for name in ("change", "author", "intent", "repo", "base", "head", "tree")
    ]
    pairs += [(f"file {n}", _file(file)) for n, file in enumerate(_docs(doc["files"])[:SHOWN_FILES], start=1)]
    pairs += [
        ("totals", inline(doc["totals"])),
        ("component", component.get("name") or "(none)"),
        ("flag", component.get("flag") or "(none)"),
        ("branch", component.get("release_branch")),
        ("stages", component.get("stages")),
        ("tests", f"{tests.get('run')} run of {tests.get('expected')} expected, {tests.get('failed')} failed, "
                  f"isolation {tests.get('isolation') or 'NOT PROVED'}, behaviour {tests.get('behaviour')}"),
        ("evidence", doc["evidence"]),
        ("decision", doc["decision"]),
        ("policy bundle", doc["bundle"]),
        ("quorum", f"{len(_rows(doc['approved_by']))} of {doc['quorum']}" + _named(doc["approved_by"])),
        ("digest", doc["digest"]),
    ]  # fmt: skip
    if doc.get("first_release"):
        pairs.append(("NOTE", "first release of this component here: by approving, its BASE becomes the known-good"))
    if not component.get("flag"):
        pairs.append(("NOTE", "no component with a flag: approved or not, it cannot be released; see .evoguard.toml"))
    facts(pairs, to_stderr=to_stderr)


def findings_page(findings: Sequence[Doc]) -> None:
    """Print findings once each, when there are any."""
    if findings:
        names = ("code", "msg", "path", "term")
        table(names, dict.fromkeys(tuple(finding.get(name, "") for name in names) for finding in findings))


def files_page(files: Sequence[Doc]) -> None:
    """Print touched files, when there are any."""
    if files:
        names = ("path", "old_path", "status", "added", "deleted")
        table(names, ([file.get(name, "") for name in names] for file in files[:SHOWN_FILES]))
    if len(files) > SHOWN_FILES:
        line(f"... and {len(files) - SHOWN_FILES} more files; --json lists them")


def _section(name: str, doc: Doc, without: tuple[str, ...]) -> None:
    if doc:
        line(f"{name}: {inline({k: v for k, v in doc.items() if k not in without})}")


def _step_row(step: Doc) -> list[object]:
    digests = " ".join(
        f"{name}={str(value).removeprefix('sha256:')[:12]}" for name, value in _doc(step["digests"]).items()
    )
    return [step["at"], step["step"], step["event"], step["actor"], step["reason"], inline(step["facts"]), digests]


def _file(file: Doc) -> str:
    old = f" (was {file['old_path']})" if file.get("old_path") else ""
    size = "binary" if file.get("binary") else f"+{file.get('added')} -{file.get('deleted')}"
    return f"{file.get('status')} {file.get('path')}{old} {size}"


def _named(people: object) -> str:
    return f": {', '.join(str(name) for name in _rows(people))}" if _rows(people) else ""


def inline(doc: object) -> str:
    """Return a table of names and values as one line; empty values are left out."""
    return ", ".join(f"{name} {_value(value)}" for name, value in _doc(doc).items() if value not in ("", None, [], {}))


def _value(value: object) -> str:
    return f"({inline(value)})" if isinstance(value, Mapping) else str(value)


def _doc(value: object) -> Doc:
    return cast(Doc, value) if isinstance(value, Mapping) else {}


def _rows(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _docs(value: object) -> list[Doc]:
    return [cast(Doc, row) for row in _rows(value) if isinstance(row, Mapping)]
