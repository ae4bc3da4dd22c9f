"""Rules, decisions put again and explanations, laid out for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from evoguard.cli.text import facts, line, table

Row = Mapping[str, object]
SHOWN_CHARS = 300


def exceptions_page(doc: Row) -> None:
    """Print what is exempt or in shadow."""
    if exempt := cast("list[Row]", doc["exemptions"]):
        names = ("exemption", "code", "scope", "until", "standing", "owner", "reason")
        scopes = [" ".join(f"{k}={v}" for k, v in cast("Row", row["scope"]).items() if v) for row in exempt]
        rows = [(row["id"], row["code"], scope) for row, scope in zip(exempt, scopes, strict=True)]
        more = ([row[name] for name in names[3:]] for row in exempt)
        table(names, ([*one, *two] for one, two in zip(rows, more, strict=True)))
    if shadow := cast("list[Row]", doc["shadow"]):
        table(("in shadow", "effective on", "standing"),
              ([row["code"], row["effective_on"], row["standing"]] for row in shadow))  # fmt: skip
    if not exempt and not shadow:
        line("nothing is exempt, and no rule is in shadow")


def backtest_page(doc: Row) -> None:
    """Print how past decisions turn."""
    facts([("bundle", doc["bundle"]), ("decisions", doc["decisions"])])
    facts(cast("Mapping[str, int]", doc["turns"]).items())
    if own := doc["repository_rules"]:
        facts([("NOTE", f"{own} of them rested on rules of a repository's own as well, which were not asked again")])
    line()
    if rules := cast("list[Row]", doc["rules"]):
        table(("rule", "denies now", "did then"), ([row["code"], row["fires"], row["silent"]] for row in rules))
    if examples := cast("list[Row]", doc["examples"]):
        rows = ([row["change"], row["stage"], row["turn"], _reasons(row)] for row in examples[:20])
        table(("change", "stage", "turn", "why"), rows)
    if more := len(examples) - 20 + cast("int", doc["omitted"]) if len(examples) > 20 else 0:
        line(f"and {more} more; --json has {len(examples)}")


def simulated_page(doc: Row) -> None:
    """Print what was decided, and what is said now."""
    facts([("change", doc["change"]), ("bundle", doc["bundle"])])
    for stage in cast("list[Row]", doc["stages"]):
        then, now = cast("Row", stage["then"]), cast("Row", stage["now"])
        line(f"{stage['stage']}: {stage['turn']}")
        facts([("  then", f"{_word(then)} under {then['bundle']}"), ("  now", _word(now) if now else stage["why"])])
        for kind in ("deny", "escalate", "notes"):
            for finding in cast("list[Row]", now.get(kind, [])):
                line(f"    {kind} {finding['code']}: {finding['msg']} {finding['path']}".rstrip())


def _word(decision: Row) -> str:
    found = cast("list[object]", decision["deny"])
    codes = {str(one["code"] if isinstance(one, Mapping) else one) for one in found}
    return "allowed" if decision["allow"] else f"denied by {', '.join(sorted(codes))}"


def _reasons(row: Row) -> str:
    told = [f"denies now: {', '.join(cast('list[str]', row['fires']))}"] if row["fires"] else []
    told += [f"did then: {', '.join(cast('list[str]', row['silent']))}"] if row["silent"] else []
    return "; ".join(told) or str(row["why"])


def explained_page(doc: Row, *, one: bool) -> None:
    """Print every rule in a line, or `one` with what it read."""
    for stage in cast("list[Row]", doc["stages"]):
        rules = cast("list[Row]", stage["rules"])
        facts([("change", doc["change"]), ("stage", stage["stage"]), ("rules", doc["bundle"])])
        if stage["bundle"] != doc["bundle"]:
            facts([("NOTE", f"decided under {stage['bundle']}; this is what the rules named above say")])
        if stage["repository"]:
            facts([("NOTE", f"the repository's own rules {stage['repository']} were asked too: `evoguard show`")])
        if stage["why"]:
            line(f"no verdict: {stage['why']}")
        elif not one:
            table(
                ("rule", "severity", "says", "what"), ([r["code"], r["severity"], r["says"], _first(r)] for r in rules)
            )
        for rule in rules if one else ():
            _rule_page(rule)


def _rule_page(rule: Row) -> None:
    facts(
        [("rule", rule["code"]), ("severity", rule["severity"]), ("says", rule["says"]), ("why it is", rule["title"])]
    )
    line(f"  {rule['description']}")
    for kind in ("deny", "escalate", "notes"):
        for finding in cast("list[Row]", rule[kind]):
            line(f"  {kind} {finding['msg']} {finding['path']} {finding['term']}".rstrip())
    line("it looked at")
    for name, value in cast("Mapping[str, str]", rule["looked_at"]).items():
        line(f"  {name} = {value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + ' ...'}")
    line()


def _first(rule: Row) -> str:
    found = [f for kind in ("deny", "escalate", "notes") for f in cast("list[Row]", rule[kind])]
    more = f" (+{len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0]['msg']} {found[0]['path']}".rstrip() + more if found else str(rule["title"])
