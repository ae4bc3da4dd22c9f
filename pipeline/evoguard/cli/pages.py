"""Answers laid out for people. Everything printed here goes through `text.shown`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evoguard.cli.docs import Doc, doc_of, docs_of, lines_of, rows_of
from evoguard.cli.text import facts, line, table

SHOWN_FILES, SHOWN_REVIEW = 60, 20


def row_page(doc: Doc) -> None:
    """Print one change's row."""
    facts(doc.items())


def overview_page(doc: Doc) -> None:
    """Print what is open and killed."""
    counted = ", ".join(f"{count} {name}" for name, count in doc_of(doc["by_status"]).items())
    facts([("state", doc["state"]), ("open", f"{doc['open']}" + (f": {counted}" if counted else ""))])
    if waiting := rows_of(doc["waiting_for_approval"]):
        facts([("waits for people", ", ".join(str(change) for change in waiting))])
    if rolling := docs_of(doc["rolling_out"]):
        table(
            ("change", "percent", "component", "flag"),
            ([r["change"], r["percent"], r["component"], r["flag"]] for r in rolling),
        )
    if unreadable := rows_of(doc["unreadable_latches"]):
        line(f"EVERYTHING IS KILLED: unreadable latches: {', '.join(str(name) for name in unreadable)}")
    kills = docs_of(doc["kills"])
    if drills := sum(bool(kill["drill"]) for kill in kills):
        facts([("drills", f"{drills} made-up flags stay killed")])
    if real := [kill for kill in kills if not kill["drill"]]:
        names = ("kill", "scope", "name", "by", "at", "reason")
        table(names, ([kill[name] for name in names] for kill in real))


def story_page(doc: Doc) -> None:
    """Print a change's story."""
    head = ("change", "status", "outcome", "percent", "component", "flag", "author", "intent", "repo", "base", "head",
            "tree", "attestation", "created", "updated", "detail")  # fmt: skip
    facts((name, doc.get(name, "")) for name in head)
    line()
    table(
        ("at", "step", "event", "who", "why", "facts", "digests"), (_step_row(step) for step in docs_of(doc["steps"]))
    )
    _section("evidence", doc_of(doc["evidence"]), ("not_passed", "record", "findings", "review", "unstable", "notes"))
    _section("decision", doc_of(doc["decision"]), ("deny", "escalate", "notes", "rules_seen", "repository"))
    _section("the repository's own rules", doc_of(doc_of(doc["decision"]).get("repository")), ("escalate",))
    _section("approval", doc_of(doc["approval"]), ("votes",))
    findings_page([f for step in docs_of(doc["steps"]) for f in docs_of(step["findings"])])
    if record := rows_of(doc_of(doc["evidence"]).get("record")):
        line("behaviour, recorded outside the guest")
        for row in record:
            line(f"  {row}")
    files_page(docs_of(doc["files"]))
    if votes := docs_of(doc_of(doc["approval"]).get("votes")):
        names = ("by", "kind", "verdict", "at", "expires", "reason")
        table(names, ([vote.get(name, "") for name in names] for vote in votes))


def asked_page(doc: Doc, *, to_stderr: bool = False) -> None:
    """Print exactly what a person is about to sign."""
    tests, component = doc_of(doc["tests"]), doc_of(doc["component"])
    pairs: list[tuple[str, object]] = [
        (name, doc[name]) for name in ("change", "author", "intent", "repo", "base", "head", "tree")
    ]
    pairs += [(f"file {n}", _file(file)) for n, file in enumerate(docs_of(doc["files"])[:SHOWN_FILES], start=1)]
    pairs += [
        ("totals", inline(doc["totals"])),
        ("line by line", f"evoguard diff {doc['change']}"),
        ("component", component.get("name") or "(none)"),
        ("flag", component.get("flag") or "(none)"),
        ("branch", component.get("release_branch")),
        ("stages", component.get("stages")),
        ("tests", f"{tests.get('run')} run of {tests.get('expected')} expected, {tests.get('failed')} failed, "
                  f"isolation {tests.get('isolation') or 'NOT PROVED'}, behaviour {tests.get('behaviour')}"),
        *lines_of("rests on", doc["rests_on"]),
        *lines_of("risk", [doc.get("risk") or "not measured"]),
        *_to_look_at(doc),
        ("evidence", doc["evidence"]),
        ("decision", doc["decision"]),
        ("policy bundle", doc["bundle"]),
        ("quorum", f"{len(rows_of(doc['approved_by']))} of {doc['quorum']}" + _named(doc["approved_by"])),
        *_seats(doc),
        *lines_of("not counted", [f"{name}, who added {doc['author']}" for name in rows_of(doc["set_apart"])]),
        ("digest", doc["digest"]),
    ]  # fmt: skip
    if doc.get("first_release"):
        pairs.append(("NOTE", "first release of this component here: by approving, its BASE becomes the known-good"))
    if not component.get("flag"):
        pairs.append(("NOTE", "no component with a flag: approved or not, it cannot be released; see .evoguard.toml"))
    facts(pairs, to_stderr=to_stderr)


def _seats(doc: Doc) -> list[tuple[str, object]]:
    """Return how many agents must review the change, and which did; nothing where none must."""
    return (
        [("seats", f"{doc['seats']} for agents of another model" + _named(doc["reviewed_by"]))] if doc["seats"] else []
    )


def _to_look_at(doc: Doc) -> list[tuple[str, object]]:
    """Return what no test proves, and what else the policies want people to see, a line each."""
    review, escalated = docs_of(doc["review"]), docs_of(doc["escalated"])
    lines: list[tuple[str, object]] = [("LOOK AT", f"{f.get('code')}: {f.get('msg')}") for f in review[:SHOWN_REVIEW]]
    if len(review) > SHOWN_REVIEW:
        lines.append(("LOOK AT", f"and {len(review) - SHOWN_REVIEW} more; see `evoguard evidence {doc['change']}`"))
    # What the review says in full is not said again by its code.
    others = (f for f in escalated if f.get("code") != "evidence.needs_review")
    lines += [("LOOK AT", f"{f.get('code')}: {f.get('msg')} {f.get('path') or f.get('term')}") for f in others]
    if unstable := rows_of(doc["unstable"]):
        lines.append(("LOOK AT", f"{len(unstable)} unstable tests of the base judged nothing: {unstable[0]}"))
    return lines


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
        f"{name}={str(value).removeprefix('sha256:')[:12]}" for name, value in doc_of(step["digests"]).items()
    )
    return [step["at"], step["step"], step["event"], step["actor"], step["reason"], inline(step["facts"]), digests]


def _file(file: Doc) -> str:
    old = f" (was {file['old_path']})" if file.get("old_path") else ""
    size = "binary" if file.get("binary") else f"+{file.get('added')} -{file.get('deleted')}"
    return f"{file.get('status')} {file.get('path')}{old} {size}"


def _named(people: object) -> str:
    return f": {', '.join(str(name) for name in rows_of(people))}" if rows_of(people) else ""


def inline(doc: object) -> str:
    """Return a table of names and values as one line; empty values are left out."""
    return ", ".join(
        f"{name} {_value(value)}" for name, value in doc_of(doc).items() if value not in ("", None, [], {})
    )


def _value(value: object) -> str:
    return f"({inline(value)})" if isinstance(value, Mapping) else str(value)
