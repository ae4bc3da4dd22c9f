"""Agents that review: registered with the model they run, heard only where the rules give agents a seat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from evoguard.adapters import keys
from evoguard.adapters.sqlite import event_log
from evoguard.adapters.sqlite.sponsors import Registrations
from evoguard.domain.events import Event, StoredEvent
from evoguard.wiring.state import open_state
from unit.cli.installed import CHANGE, Installed


def approve(installed: Installed, name: str):
    return installed.json("approve", CHANGE, "--as", name, "--sign-with", installed.key(name), "--yes")


def added(installed: Installed, name: str, *words: str):
    """Make a key and register an agent that alice puts her name to."""
    public = installed.folder / f"{name}.pub"
    public.write_bytes(keys.generate(installed.folder / f"{name}.key"))
    sponsor = ("--as", "alice", "--sign-with", installed.key("alice"))
    return installed.json("agent", "add", name, "--key", str(public), *sponsor, *words)


def test_where_agents_have_a_seat_one_reviews_and_is_shown(installed: Installed):
    digest = installed.waiting(seats=1)
    answer = approve(installed, "rival")
    assert (answer.code, answer.doc["digest"], answer.doc["seats"], answer.doc["reviewed_by"]) == (0, digest, 1, [])
    assert installed.inbox() == ["approve"]
    vote = {"by": "rival", "kind": "agent", "digest": digest, "verdict": "approve", "at": 1, "expires": 9_999_999_999,
            "nonce": "n"}  # fmt: skip
    installed.append(Event("approval.recorded", vote))
    shown = approve(installed, "bob")
    assert (shown.doc["reviewed_by"], shown.doc["approved_by"]) == (["rival"], [])
    assert "1 for agents of another model" in shown.err


def test_the_author_fills_no_seat(installed: Installed):
    installed.waiting(seats=1)
    answer = approve(installed, "coder")
    assert (answer.code, answer.error["code"]) == (4, "approval.self")


def test_a_held_agent_reviews_nothing(installed: Installed):
    installed.waiting(seats=1)
    opened = open_state(installed.settings)
    opened.registry.append("kills", Event("author.held", {"author": "rival", "kill": "k"}, reason="it lied"))
    opened.close()
    answer = approve(installed, "rival")
    assert (answer.error["code"], installed.inbox()) == ("author.held", [])


def test_an_agents_model_is_signed_and_listed(installed: Installed):
    assert added(installed, "critic", "--model", "maker/large-2").code == 0
    rows = {row["name"]: row for row in installed.json("agent", "list").doc["agents"]}
    assert (rows["critic"]["model"], rows["critic"]["vouched_by"]) == ("maker/large-2", ["alice"])
    assert rows["coder"]["model"] == ""


@pytest.mark.parametrize("model", ["a b", "x" * 101, "-x", "a\n", "naïve"])
def test_a_model_is_plain_text(installed: Installed, model: str):
    answer = added(installed, "critic", "--model", model)
    assert (answer.code, answer.error["code"]) == (2, "identity.model")


def test_a_model_that_is_not_the_one_that_was_signed_is_found(installed: Installed):
    added(installed, "critic", "--model", "maker/large-2")
    opened = open_state(installed.settings)
    stored = event_log.read(opened.con, "registry")
    opened.close()
    other = [replace(one, event=replace(one.event, body={**one.event.body, "model": "maker/other-9"}))
             if one.event.body.get("name") == "critic" else one for one in stored]  # fmt: skip
    assert problems(stored) == []
    assert [text.rpartition(": ")[2] for text in problems(other)] == [
        "agent critic was registered with 0 of 1 signatures of registered people"]  # fmt: skip


def problems(stored: Sequence[StoredEvent]) -> list[str]:
    known = Registrations()
    return [told for one in stored if (told := known.problem(one))]
