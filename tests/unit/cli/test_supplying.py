"""Databases of advisories and bills of material on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoguard.adapters.artifacts import FileArtifacts
from evoguard.cli import exit_codes
from evoguard.domain.canonical import canonical
from evoguard.domain.events import Event
from unit.cli.installed import CHANGE, Installed

ENTRY = {
    "id": "MADE-UP-1", "modified": "2026-09-01T00:00:00Z",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "evil-made-up"}, "versions": ["1.0"]}],
}  # fmt: skip
BILLS = {
    "head": {"bomFormat": "CycloneDX", "components": [{"name": "evil\u202e"}]},
    "base": {"bomFormat": "CycloneDX", "components": []},
    "difference": {"added": [{"package": "pkg:pypi/x", "after": ["1"]}], "removed": [], "changed": []},
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    home = tmp_path / "db"
    home.mkdir()
    (home / "a.json").write_text(json.dumps(ENTRY))
    return home


def test_no_database_is_said(installed: Installed) -> None:
    answer = installed.run("osv", "status")
    assert answer.code == exit_codes.DONE
    assert "osv import" in answer.err
    assert installed.json("osv", "status").doc["status"] == "none"


def test_a_database_is_imported_and_shown(installed: Installed, database: Path) -> None:
    told = installed.json("osv", "import", str(database)).doc
    status = installed.json("osv", "status")
    assert (status.code, status.doc["status"], status.doc["digest"]) == (exit_codes.DONE, "present", told["digest"])
    assert str(told["digest"]) in installed.run("osv", "status").out


def test_a_database_that_was_edited_is_an_error(installed: Installed, database: Path) -> None:
    installed.json("osv", "import", str(database))
    (file,) = installed.settings.advisories_dir.glob("*.tsv")
    file.write_bytes(file.read_bytes().replace(b"evil", b"good"))
    answer = installed.json("osv", "status")
    assert (answer.code, answer.doc["status"]) == (exit_codes.ERROR, "damaged")


@pytest.mark.parametrize("what", ["nowhere", "file", "empty"])
def test_what_is_no_database_is_one_clear_error(installed: Installed, tmp_path: Path, what: str) -> None:
    path = tmp_path / what
    if what == "file":
        path.write_bytes(b"no zip")
    elif what == "empty":
        path.mkdir()
    answer = installed.json("osv", "import", str(path))
    assert answer.code not in (exit_codes.DONE, exit_codes.INTERRUPTED)
    assert str(answer.error["code"]).startswith("osv.")
    assert answer.error["fix"]


def inspected(installed: Installed) -> None:
    installed.waiting()
    store = FileArtifacts(installed.settings.state / "artifacts")
    body = {f"sbom_{name}": store.keep(canonical(bill)) for name, bill in BILLS.items()}
    installed.append(Event("candidate.inspected", body))


def test_a_bill_is_printed_as_it_was_stored(installed: Installed) -> None:
    inspected(installed)
    assert json.loads(installed.run("sbom", CHANGE).out) == BILLS["head"]
    assert installed.json("sbom", CHANGE).doc == BILLS["head"]
    assert installed.json("sbom", CHANGE, "--base").doc == BILLS["base"]
    assert installed.json("sbom", CHANGE, "--diff").doc == BILLS["difference"]
    assert "pkg:pypi/x" in installed.run("sbom", CHANGE, "--diff").out
    assert "\u202e" not in installed.run("sbom", CHANGE).out


def test_a_change_without_a_bill(installed: Installed) -> None:
    installed.waiting()
    assert installed.json("sbom", CHANGE).error["code"] == "sbom.none"
    assert installed.json("sbom", "ch-ffffffffffff").code != exit_codes.DONE
