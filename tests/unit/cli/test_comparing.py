"""`policy diff` on real compiled rules with other data: what loosens exits 1 under --check, and examples say where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.events import Event
from unit.cli.installed import Installed
from unit.cli.recorded import EXEMPT, MANY, MANY_TOTALS, SHIPPED, WIDE, decided, edited

FEW = ("--questions", "250")


def test_a_bundle_beside_itself_differs_in_nothing_and_says_how_much_was_tried(installed: Installed):
    answer = installed.json("policy", "diff", str(SHIPPED), "--check", *FEW)
    assert answer.code == 0
    assert (answer.doc["verdict"], answer.doc["loosens"], answer.doc["examples"]) == ("nothing differs", False, [])
    tried = answer.doc["tried"]
    assert isinstance(tried, dict)
    assert (tried["recorded"], tried["generated"]) == (0, 250)
    assert tried["allowed_by_a"] > 20


def test_a_higher_limit_loosens_and_examples_say_where(installed: Installed, tmp_path: Path):
    loose = edited(tmp_path / "loose", max_files=200)
    answer = installed.json("policy", "diff", str(loose), "--check", "--questions", "1500")
    assert answer.code == 1
    assert (answer.doc["verdict"], answer.doc["loosens"]) == ("loosening", True)
    assert [row["code"] for row in answer.doc["codes"]] == ["change.unbounded"]  # type: ignore[attr-defined]  # JSON
    assert "totals.files = " in json.dumps(answer.doc["examples"])
    assert {"place": "limits.max_files", "before": 100, "after": 200} in answer.doc["standing"]["data"]  # type: ignore[index]  # JSON
    page = installed.run("policy", "diff", str(loose), str(SHIPPED), "--check", "--text", "--questions", "1500")
    assert page.code == 0
    assert "B is  tightening" in page.out
    assert "data.json limits.max_files: 200 -> 100" in page.out


def test_recorded_decisions_are_asked_too(installed: Installed, tmp_path: Path):
    assert decided(installed, OpaWasmPolicies(), WIDE, files=MANY, totals=MANY_TOTALS)
    tight = edited(tmp_path / "tight", max_files=10)
    doc = installed.json("policy", "diff", str(tight), *FEW).doc
    assert (WIDE, "newly denied") in {(row["where"], row["turn"]) for row in doc["examples"]}  # type: ignore[index,attr-defined]  # JSON
    assert doc["verdict"] == "tightening"
    installed.append(Event("change.judged", {"allow": True, "decision": installed.put({"question": 3})}), change=WIDE)
    lost = installed.json("policy", "diff", str(SHIPPED), "--check", *FEW)
    assert (lost.code, lost.doc["verdict"], lost.doc["tried"]["not_asked"]) == (1, "loosening", 1)  # type: ignore[index]  # JSON


@pytest.mark.parametrize(
    "parts", [{"exemptions": [EXEMPT]}, {"shadow": [{"code": "change.unbounded", "effective_on": "2026-10-01"}]}]
)
def test_what_is_excepted_loosens_whatever_is_tried(installed: Installed, tmp_path: Path, parts: dict[str, object]):
    answer = installed.json("policy", "diff", str(edited(tmp_path / "b", parts)), "--check", "--questions", "20")
    assert answer.code == 1
    assert "excepts something new" in str(answer.doc["loosened"])


def test_a_number_that_no_question_shows_cannot_be_told_and_counts_as_loosening(installed: Installed, tmp_path: Path):
    answer = installed.json("policy", "diff", str(edited(tmp_path / "b", exemption_days=91)), "--check", *FEW)
    assert (answer.code, answer.doc["verdict"], answer.doc["loosened"]) == (1, "loosening", [])
    assert "limits.exemption_days changed, and no question shows" in str(answer.doc["unknown"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("diff", "/nonexistent"), "policy.bundle"),
        (("diff", "{shipped}", "/nonexistent"), "policy.bundle"),
        (("diff", "{shipped}", "--questions", "0"), "usage"),
        (("diff", "{shipped}", "--questions", "100001"), "usage"),
        (("docs", "{shipped}", "--bundle", "{shipped}"), "usage"),
        (("docs", "--bundle", "/nonexistent"), "policy.bundle"),
        (("test", "{shipped}", "--bundle", "{shipped}"), "usage"),
        (("test", "--format", "sarif"), "usage"),
    ],
)
def test_bad_input_is_one_clear_error(installed: Installed, words: tuple[str, ...], code: str):
    answer = installed.json("policy", *(word.format(shipped=SHIPPED) for word in words))
    assert answer.code != 0
    assert answer.error["code"] == code
    assert answer.error["fix"]


def test_a_bundle_whose_sources_were_changed_is_not_compared(installed: Installed, tmp_path: Path):
    broken = edited(tmp_path / "b")
    texts = json.loads((broken / bundle.SOURCES).read_bytes())
    texts["author/held.rego"] += "\n"
    (broken / bundle.SOURCES).write_text(json.dumps(texts))
    assert installed.json("policy", "diff", str(broken)).error["code"] == "integrity.policies"
