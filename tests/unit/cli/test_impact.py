"""`evoguard impact` shows every line of the sum and what is reached, as it was recorded."""

from __future__ import annotations

from evoguard.domain.events import Event
from evoguard.domain.reach import Dependant, Reach
from evoguard.domain.risk import Features as Measured
from evoguard.domain.risk import Row, floor_of, weights_from
from unit.cli.installed import CHANGE, Installed, a_file

REACH = Reach(
    {"lending/scoring.py": ("score",)}, (Dependant("lending/app\x1b[2J.py", 1, ("score",)),), ("tests/test_a.py",),
    ("scoring",), ("lending-scoring",), {"lending/scoring.py": ("@ada",)}, {"lending/odd.py": "it does not parse"},
)  # fmt: skip


def mapped(installed: Installed, *, measured: bool = True) -> None:
    from evoguard import bundle

    risk = floor_of(Measured(lines=60, newcomer=2, unknown=1), weights_from(bundle.load().numbers))
    facts = {"files": [a_file()], **({"risk": risk.as_json(), "reach": REACH.as_json()} if measured else {})}
    installed.submitted()
    installed.append(Event("change.mapped", {"component": "scoring", "impact": installed.put(facts)}))


def test_the_sum_and_the_reach_are_told(installed: Installed):
    mapped(installed)
    doc = installed.json("impact", CHANGE).doc
    points = {row["name"]: row["points"] for row in doc["features"]}
    assert doc["risk"] == doc["floor"] == points["lines"] + points["newcomer"] + points["unknown"] == 270
    assert set(points) >= {"lines", "folders", "files", "fixes", "young", "authors", "place", "guard_paths"}
    assert doc["dependants"] == [{"path": "lending/app\x1b[2J.py", "distance": 1, "names": ["score"]}]
    assert (doc["tests"], doc["flags"], doc["owners"]) == (
        ["tests/test_a.py"], ["lending-scoring"], {"lending/scoring.py": ["@ada"]},
    )  # fmt: skip
    assert doc["model"] is None


def test_the_page_has_every_line_and_nothing_that_moves_a_cursor(installed: Installed):
    mapped(installed)
    out = installed.run("impact", CHANGE).out
    assert "270 of 1000" in out
    assert "NOT KNOWN" in out
    assert "@ada" in out
    assert "\x1b" not in out
    for word in ("lines", "weakened_tests", "guard_paths", "lending-scoring"):
        assert word in out


def test_a_change_that_was_not_mapped_or_measured_is_one_clear_error(installed: Installed):
    installed.submitted()
    assert installed.json("impact", CHANGE).doc["error"]["code"] == "impact.not_mapped"
    assert installed.json("impact", "ch-000000000000").doc["error"]["code"] == "change.unknown"


def test_a_change_from_before_risk_was_measured_says_so(installed: Installed):
    mapped(installed, measured=False)
    assert installed.json("impact", CHANGE).doc["error"]["code"] == "impact.not_measured"


def test_a_row_keeps_its_note():
    assert Row("place", 200, 200, note="login").as_json()["note"] == "login"
