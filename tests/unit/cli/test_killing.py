"""What `kill` and `lift` say about what was named and who signed; nothing of it keeps a kill from happening."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from evoguard.cli import exit_codes, failures
from evoguard.domain.events import Event
from evoguard.errors import AuthError
from evoguard.wiring import orders
from unit.cli.installed import Answer, Installed

LOST = "nothing here is called"


def kill(installed: Installed, what: str, *more: str) -> Answer:
    return installed.json("kill", what, "--reason", "pager", *more)


def with_a_change(installed: Installed) -> None:
    installed.submitted()
    installed.append(Event("change.mapped", {"component": "scoring", "flag": "lending-scoring"}))


def latched(installed: Installed) -> int:
    return len(list(installed.settings.kill_dir.glob("*.json")))


def test_a_name_that_nothing_bears_is_said_to_be_unknown_and_is_latched_all_the_same(installed: Installed):
    with_a_change(installed)
    answer = kill(installed, "flag:lending-scorign")
    assert (answer.doc["known"], answer.doc["latched"], latched(installed)) == (False, True, 1)
    assert LOST in answer.err
    assert "'lending-scorign'" in answer.err


@pytest.mark.parametrize("what", ["flag:lending-scoring", "component:scoring", "all"])
def test_a_name_that_something_bears_is_known(installed: Installed, what: str):
    with_a_change(installed)
    answer = kill(installed, what)
    assert answer.doc["known"] is True
    assert LOST not in answer.err


def test_a_flag_is_no_component(installed: Installed):
    with_a_change(installed)
    assert kill(installed, "component:lending-scoring").doc["known"] is False


def test_a_bare_name_says_that_it_is_two_latches_and_which_of_them_is_known(installed: Installed):
    with_a_change(installed)
    answer = kill(installed, "scoring")
    assert {k["latch"]["scope"]: k["known"] for k in answer.doc["kills"]} == {"flag": False, "component": True}
    assert answer.doc["known"] is True
    assert "latched as flag and as component" in answer.err
    assert latched(installed) == 2


def test_a_database_that_is_not_there_makes_it_unknown_whether_a_name_is_known(installed: Installed):
    installed.settings.database.unlink()
    answer = kill(installed, "flag:pricing", "--as", "bob", "--sign-with", installed.key("bob"))
    assert (answer.doc["known"], answer.doc["latched"], answer.doc["signed"]) == (None, True, True)
    assert LOST not in answer.err


def test_a_database_that_is_held_makes_it_unknown_whether_a_name_is_known(installed: Installed):
    with closing(sqlite3.connect(installed.settings.database, isolation_level=None)) as con:
        con.execute("pragma locking_mode=exclusive")
        con.execute("begin exclusive")
        answer = kill(installed, "flag:pricing")
    assert (answer.doc["known"], answer.doc["latched"]) == (None, True)


def test_a_lookup_that_hangs_is_not_waited_for(installed: Installed, monkeypatch: pytest.MonkeyPatch):
    never = threading.Event()
    monkeypatch.setattr(orders, "_connected", lambda _: never.wait())
    assert orders.known(installed.settings, [("flag", "pricing")], box_s=0.05) == (None,)
    assert orders.unproved(installed.settings, "bob", Path(installed.key("bob")), box_s=0.05) == ""
    never.set()


def envelope_of(installed: Installed) -> str:
    (latch,) = installed.settings.kill_dir.glob("*.json")
    return str(json.loads(latch.read_text())["signed"])


def test_a_persons_kill_is_signed(installed: Installed):
    answer = kill(installed, "all", "--as", "bob", "--sign-with", installed.key("bob"))
    assert answer.doc["signed"] is True
    assert envelope_of(installed)
    assert "NOT SIGNED" not in answer.err


@pytest.mark.parametrize(
    ("name", "key", "why"),
    [
        ("coder", "coder", "coder is an agent, and only people sign kills"),
        ("mallory", "coder", "nobody is registered as 'mallory'"),
        ("bob", "coder", "is not the key that is registered for bob"),
    ],
)
def test_nobody_but_a_registered_person_signs_a_kill_and_it_goes_on_unsigned(
    installed: Installed, name: str, key: str, why: str
):
    answer = kill(installed, "all", "--as", name, "--sign-with", installed.key(key))
    assert (answer.doc["latched"], answer.doc["signed"]) == (True, False)
    assert "NOT SIGNED" in answer.err
    assert why in answer.err
    assert envelope_of(installed) == ""


def test_if_signers_were_not_looked_up_an_agents_kill_would_bear_a_signature(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
):
    """The gate is load-bearing: without it the same order is signed."""
    monkeypatch.setattr(orders, "unproved", lambda *_: "")
    assert kill(installed, "all", "--as", "coder", "--sign-with", installed.key("coder")).doc["signed"] is True


def test_two_people_with_one_key_are_refused_as_no_second_person(capsys: pytest.CaptureFixture[str]):
    err = AuthError("share", code="lift.shared_key")
    assert failures.report(err, as_json=False) == exit_codes.AUTH
    assert capsys.readouterr().err


def test_a_key_file_that_is_not_there_has_one_exit_code_whether_public_or_private(installed: Installed):
    installed.waiting()
    public = installed.json("person", "add", "carol", "--key", "/nowhere.pub")
    private = installed.json("person", "add", "carol", "--key", f"{installed.folder / 'bob.pub'}",
                             "--as", "alice", "--sign-with", "/nowhere")  # fmt: skip
    lifted = installed.json("lift", "kill-0123456789abcdef", "--as", "bob", "--sign-with", "/nowhere")
    assert [a.code for a in (public, private, lifted)] == [exit_codes.USAGE] * 3
    assert {a.error["code"] for a in (private, lifted)} == {"key.missing"}
