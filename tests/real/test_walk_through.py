"""docs/policy-walk-through.md, command by command, with the real OPA: what a stranger types is what is run here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from unit.cli.installed import Installed, make
from unit.cli.recorded import decided

pytestmark = pytest.mark.needs_opa
PAGE = Path(__file__).parents[2] / "docs" / "policy-walk-through.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FRIDAY = 1_790_345_700
CODE = "approval.friday_payments"
WAITING = 5


def blocks() -> list[tuple[str, str, str]]:
    """Return (language, file or person, text) of each block of the page, in order."""
    return [(kind, name, text) for kind, name, text in BLOCK.findall(PAGE.read_text())]


def vote(by: str) -> list[dict[str, object]]:
    return [{"by": by, "kind": "person", "digest": "sha256:question", "verdict": "approve", "model": "",
             "at": FRIDAY - 100, "expires": FRIDAY + 100}]  # fmt: skip


@pytest.fixture
def installed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Installed:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Installed(tmp_path, capsys)


def merge(path: Path, text: str) -> None:
    doc = json.loads(path.read_text())
    doc |= json.loads(text)
    path.write_text(json.dumps(doc))


def said(installed: Installed, command: str) -> tuple[int, str]:
    words = command.split()
    assert words[0] == "evoguard"
    answer = installed.run(*words[1:])
    return answer.code, answer.out + answer.err


def test_every_command_of_the_page_does_what_the_page_says(installed):
    rules = OpaWasmPolicies()
    for change, by in (("ch-000000000001", "linus"), ("ch-000000000002", "ada")):
        asked = {"now": FRIDAY, "component": {"name": "payments"}, "approvals": vote(by)}
        assert decided(installed, rules, change, stage="admit", **asked)
    told: dict[str, str] = {}
    for kind, name, text in blocks():
        if kind == "json":
            merge(Path(name), text)
        elif kind == "rego":
            assert Path(name).exists(), "`policy new` made it"
            Path(name).write_text(text)
        else:
            for command in text.strip().splitlines():
                code, out = said(installed, command)
                first = name == "alice"  # the first of two people
                assert code == (WAITING if first else 0), (command, out)
                told[command] = out
    backtest = told["evoguard policy backtest --bundle bundle"]
    assert re.search(r"newly denied\s+1\b", backtest), backtest
    assert CODE in backtest
    assert "ch-000000000001" in backtest
    assert CODE in told["evoguard policy show"]
    assert "B is  tightening" in told["evoguard policy diff bundle"]
    assert re.search(r"newly denied\s+0\b", told["evoguard policy activate shadowed --dry-run"])
    history = installed.json("policy", "status").doc["history"]
    assert [row["serial"] for row in history] == [3, 2, 1]  # type: ignore[union-attr]
    assert history[0]["bundle"] == history[2]["bundle"]  # type: ignore[index]
