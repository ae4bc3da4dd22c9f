"""Verbs of those who decide whether to put rules in force: policy diff, docs. Nothing here is put in force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, table

Row = Mapping[str, object]
SHOWN = 20


def attach(policy: typer.Typer) -> None:
    """Add this file's verbs to `policy`."""
    example = "evoguard policy diff /tmp/bundle\nevoguard policy diff /tmp/old /tmp/new --text --check"
    verb(policy, "diff", example=example)(policy_diff)
    verb(policy, "docs", example="evoguard policy docs > rules.md\nevoguard policy docs rules")(policy_docs)


def policy_diff(
    session: Session,
    first: Annotated[
        Path, typer.Argument(metavar="A", help="A bundle's folder; named alone it is B, and A the one in force.")
    ],
    second: Annotated[Path | None, typer.Argument(metavar="B", help="The bundle that is looked at.")] = None,
    *,
    text: Annotated[bool, typer.Option("--text", help="Also show the sources' differences, line by line.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when B loosens, or when it cannot be told.")] = False,
    most: Annotated[
        int, typer.Option("--questions", metavar="N", help="Ask at most so many made-up questions.")
    ] = 3000,
) -> int:
    """Say whether bundle B tightens or loosens what bundle A demands, and by which rules.

    Compared are the rules, their severities, data.json and scan rules as they stand, and both bundles' answers to every
    recorded decision and to made-up questions: each field at its boundaries, alone and two at once. Something weighs
    less when a refusal becomes a question to people or nothing, or the quorum falls. What cannot be told (no verdict,
    a changed rule that no question made fire) counts as loosening. That nothing differs is said of the questions that
    were tried, not of all there are; the constitution that ships holds over B as well, which is not counted here.
    """
    from evoguard.cli.progress import progress
    from evoguard.wiring import comparing, rulebook

    settings, named = session.settings(), second is not None
    a, which = (first, "as named") if named else rulebook.other_side(settings)
    with progress("asking both bundles"):
        doc = run(comparing.diff(settings, a, second or first, most=most, text=text))
    doc["a_is"] = which
    session.answer(doc, lambda: diff_page(doc))
    return exit_codes.ERROR if check and doc["loosens"] else exit_codes.DONE


def policy_docs(
    session: Session,
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="A folder of policies.")] = None,
    *,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FOLDER", help="A bundle's folder; else the one that ships.")
    ] = None,
    opa: Annotated[Path | None, typer.Option("--opa", metavar="FILE", help="OPA, for a folder of policies.")] = None,
) -> int:
    """Write the catalogue of rules in Markdown: what each wants, how severe it is, what it reads, why it is."""
    from evoguard.errors import InputError
    from evoguard.wiring import authoring

    if folder is not None and bundle is not None:
        raise InputError("a folder and --bundle name two sets of rules", code="usage", fix="leave one of them out")
    page = authoring.docs(folder, bundle, opa)
    session.answer({"markdown": page}, lambda: print(page, end=""))
    return exit_codes.DONE


def diff_page(doc: Row) -> None:
    """Print what differs, the word on it first, and what was tried to find it."""
    facts([("B is", doc["verdict"]), ("A", f"{doc['a']}, {doc['a_is']}"), ("B", doc["b"])])
    line()
    _standing(cast("Row", doc["standing"]))
    for name, said in (("loosened", "LOOSENS"), ("unknown", "CANNOT TELL")):
        for why in cast("list[str]", doc[name]):
            line(f"{said}: {why}")
    _tried(cast("Row", doc["tried"]))
    facts((f"  {name}", count) for name, count in cast("Mapping[str, int]", doc["turns"]).items() if count)
    line()
    if codes := cast("list[Row]", doc["codes"]):
        rows = ([r["code"], r["looser"], r["tighter"]] for r in codes)
        table(("what", "weighs less in B", "more in B"), rows)
    _examples(doc)
    for row in str(doc["text"]).split("\n") if "text" in doc else ():
        line(row)


def _standing(standing: Row) -> None:
    names = ("new", "gone", "changed", "described_otherwise", "shared")
    facts((name.replace("_", " "), ", ".join(cast("list[str]", standing[name]))) for name in names)
    for row in cast("list[Row]", standing["severities"]):
        line(f"severity of {row['code']}: {row['before']} -> {row['after']}")
    for row in cast("list[Row]", standing["data"]):
        line(f"data.json {row['place']}: {_value(row['before'])} -> {_value(row['after'])}")
    for row in cast("list[Row]", standing["scan"]):
        line(f"scan rule {row['rule']}: {row['what']}")


def _tried(tried: Row) -> None:
    line(
        f"tried: {tried['recorded']} recorded decisions, {tried['generated']} made-up questions;"
        f" A allowed {tried['allowed_by_a']}, B {tried['allowed_by_b']}"
    )
    for code, times in cast("Mapping[str, int]", tried["fired"]).items():
        line(f"  {code} fired {times} times, on either side")
    if tried["not_asked"]:
        line(f"  {tried['not_asked']} recorded decisions could not be asked again: no verdict")


def _examples(doc: Row) -> None:
    examples = cast("list[Row]", doc["examples"])
    if examples:
        rows = ([f"{r['where']} {r['stage']}", r["turn"], r["about"], _why(r)] for r in examples[:SHOWN])
        table(("question", "turn", "what was changed in it", "why"), rows)
    if more := max(0, len(examples) - SHOWN) + cast("int", doc["omitted"]):
        line(f"and {more} more; --json has {len(examples)}")


def _why(row: Row) -> str:
    told = [f"less: {', '.join(cast('list[str]', row['looser']))}"] if row["looser"] else []
    told += [f"more: {', '.join(cast('list[str]', row['tighter']))}"] if row["tighter"] else []
    return "; ".join(told)


def _value(value: object) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + " ..."
