"""`audit root`, `audit verify --root` and doctor's line about the log, on a state that the test wrote."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evoguard.adapters.sqlite import roots
from evoguard.domain.canonical import digest_of
from evoguard.domain.events import Event
from unit.cli.installed import Answer, Installed
from unit.cli.test_proving import signed_root


def audited(installed: Installed, *words: str, key: Path | None = None) -> Answer:
    return installed.json("audit", "verify", "--key", str(key or installed.settings.service_pub), *words)


def delete_the_roots(installed: Installed) -> None:
    with closing(sqlite3.connect(installed.settings.database)) as con:
        con.executescript("drop trigger roots_stay; delete from roots")


def doctors_line(installed: Installed) -> dict[str, object]:
    parts = installed.json("doctor", "--no-start").doc["parts"]
    return next(part for part in parts if part["name"] == "event log")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_root_that_was_printed_is_demanded_later(installed: Installed, tmp_path: Path, words: tuple[str, ...]):
    installed.submitted()
    signed_root(installed)
    mine = tmp_path / "root.json"
    mine.write_text(installed.run("audit", "root", *words).out)
    installed.append(Event("change.mapped", {"files": 1}))
    signed_root(installed)
    answer = audited(installed, "--root", str(mine))
    assert (answer.code, answer.doc["problems"], answer.doc["roots"]) == (0, [], 2)
    kept = (installed.settings.state / roots.FILE).read_bytes()
    assert answer.doc["root_demanded"] != digest_of(kept)  # it is the first root, not the newest
    assert any("the root that you kept" in text for text in answer.doc["detects"])


def test_the_root_is_named_with_number_event_and_digest(installed: Installed):
    signed_root(installed)
    doc = installed.json("audit", "root").doc
    assert set(doc) == {"n", "seq", "digest", "bundle"}
    assert (doc["n"], doc["digest"]) == (1, digest_of(str(doc["bundle"]).encode()))


def test_a_state_put_back_as_a_whole_is_found_by_the_root_alone(installed: Installed, tmp_path: Path):
    signed_root(installed)
    shutil.copytree(installed.settings.state, tmp_path / "backup")
    installed.submitted()
    signed_root(installed)
    mine = tmp_path / "root.json"
    mine.write_text(installed.run("audit", "root").out)
    shutil.rmtree(installed.settings.state)
    shutil.copytree(tmp_path / "backup", installed.settings.state)
    assert audited(installed).code == 0
    answer = audited(installed, "--root", str(mine))
    assert answer.code == 1
    assert any("not in this log" in text for text in answer.doc["problems"])


def test_no_root_is_printed_before_one_is_signed_or_after_they_vanished(installed: Installed):
    assert installed.json("audit", "root").error["code"] == "audit.no_root"
    signed_root(installed)
    installed.submitted()
    signed_root(installed)
    delete_the_roots(installed)
    assert installed.json("audit", "root").error["code"] == "audit.roots_vanished"


def test_a_file_that_holds_no_root_is_the_senders_mistake(installed: Installed, tmp_path: Path):
    signed_root(installed)
    (tmp_path / "r").write_bytes(b"\xff not json")
    answer = audited(installed, "--root", str(tmp_path / "r"))
    assert (answer.code, answer.error["code"]) == (2, "audit.root_file")


def test_another_key_is_one_problem_with_a_count(installed: Installed):
    for _ in range(7):
        installed.append(Event("change.mapped", {"files": 1}))
        signed_root(installed)
    answer = audited(installed, key=installed.folder / "bob.pub")
    assert (answer.code, answer.doc["problems"]) == (1, ["7 roots are not signed by this key"])


def test_doctor_shows_how_far_the_log_is_signed_and_that_roots_vanished(installed: Installed):
    assert "not signed yet" in str(doctors_line(installed)["detail"])
    signed_root(installed)
    installed.submitted()
    signed_root(installed)
    line = doctors_line(installed)
    assert line["ok"]
    assert "signed up to" in str(line["detail"])
    delete_the_roots(installed)
    line = doctors_line(installed)
    assert not line["ok"]
    assert "audit.roots_vanished" in str(line["detail"])
    assert "evoguard audit verify" in str(line["mend"])


def test_a_state_of_an_older_layout_says_what_to_do(installed: Installed):
    with closing(sqlite3.connect(installed.settings.database)) as con:
        con.execute("pragma user_version=1")
    for words in (("status",), ("audit", "root"), ("audit", "verify", "--key", str(installed.settings.service_pub))):
        answer = installed.json(*words)
        assert (answer.code != 0, answer.error["code"]) == (True, "state.older")
