"""Exemptions and rules in shadow, counted in what was decided on real parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evoguard.domain.exceptions import days_left, lifts, watches
from evoguard.domain.scan import Hit
from evoguard.exam.bundles import another, enforced
from evoguard.exam.hall import Hall
from evoguard.wiring.exempting import exemptions

DAY = 86_400


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    (tmp_path / "hall").mkdir(mode=0o700)
    made = Hall(tmp_path / "hall")
    yield made
    made.close()


def day(hall: Hall, days: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(hall.now_s + days * DAY, UTC).strftime("%Y-%m-%d")


def exemption(hall: Hall, name: str, code: str, days: int, component: str = "scoring") -> dict[str, object]:
    return {"id": name, "code": code, "scope": {"repo": "", "component": component, "path": ""}, "reason": "a move",
            "owner": "ada", "approved_by": ["ada", "bob"], "until": day(hall, days)}  # fmt: skip


async def decided(hall: Hall, **data: object) -> None:
    """Put a bundle with these exceptions in force and decide on one change with a known fault and a new lock."""
    enforced(hall, another(hall, data))  # type: ignore[arg-type]
    hall.room.hits = (Hit("python.reverse_shell", "error", "scoring.py", 1, "a shell"),)
    await hall.carried(await hall.submit({"scoring.py": "RATE = 4\n", "requirements.lock": "a==1\n"}))


async def test_what_was_used_is_counted_and_what_was_not_is_named(hall: Hall) -> None:
    await decided(hall, exemptions=[
        exemption(hall, "EX-1", "change.scan_finding", 80), exemption(hall, "EX-2", "change.unbounded", 5),
        exemption(hall, "EX-3", "change.scan_finding", 80, component="billing"),
    ])  # fmt: skip
    doc = await exemptions(hall.settings)
    first, second, third = doc["exemptions"]  # type: ignore[misc]
    assert (first["used"]["decisions"], first["used"]["changes"], first["used"]["allowed"]) == (2, 1, 2)
    assert first["used"]["examples"][0]["msg"].startswith("exempt until ")
    assert first["days_left"] in (79, 80)
    assert (second["expiring"], third["expiring"]) == (True, False)
    assert (doc["unused"], doc["expiring"], doc["decisions"]) == (["EX-2", "EX-3"], ["EX-2"], 2)


async def test_what_a_rule_in_shadow_would_have_done_is_told(hall: Hall) -> None:
    shadow = [{"code": "change.scan_finding", "effective_on": day(hall, 30)},
              {"code": "change.secret", "effective_on": day(hall, 30)}]  # fmt: skip
    await decided(hall, shadow=shadow)
    doc = await exemptions(hall.settings)
    first, second = doc["shadow"]  # type: ignore[misc]
    assert (first["would"]["decisions"], first["would"]["allowed"], first["severity"]) == (2, 2, "deny")
    assert (second["would"]["decisions"], second["would"]["examples"]) == (0, [])


async def test_without_decisions_and_exceptions_there_is_a_report(hall: Hall) -> None:
    doc = await exemptions(hall.settings)
    assert (doc["exemptions"], doc["shadow"], doc["unused"], doc["decisions"]) == ([], [], [], 0)


@pytest.mark.parametrize(
    ("text", "left"), [("2027-01-02", 1), ("2027-01-01", 0), ("2020-01-01", 0), ("soon", 0), (7, 0)]
)
def test_days_left_are_whole_days_until_the_day_begins(text: object, left: int) -> None:
    assert days_left(text, 1_798_761_600) == left  # type: ignore[arg-type]  # 2027-01-01


def test_a_note_that_a_finding_worded_like_an_exemption_of_another_code_or_id_counts_for_nothing() -> None:
    one = {"id": "EX-1", "code": "change.secret"}
    assert lifts(one, {"code": "change.secret", "msg": "exempt until 2027-01-01 (EX-1): a key"})
    assert not lifts(one, {"code": "change.secret", "msg": "exempt until 2027-01-01 (EX-11): a key"})
    assert not lifts(one, {"code": "change.unbounded", "msg": "exempt until 2027-01-01 (EX-1): a key"})
    assert not lifts(one, {"code": "change.secret", "msg": "a key, exempt until 2027-01-01 (EX-1): "})
    assert not watches(one, {"code": "change.secret", "msg": "a key in shadow until 2027-01-01"})
