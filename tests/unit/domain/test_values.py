from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard.domain.approval import Approval, people_for, rejected_by
from evoguard.domain.canonical import Digest, as_digest, canonical, digest_of
from evoguard.domain.change import Author, CommitId, Proposal, TreeId, approval_digest, change_id
from evoguard.domain.component import Component, matches, parse
from evoguard.domain.events import Event, decode, encode
from evoguard.domain.evidence import Evidence
from evoguard.domain.latch import Latch, LatchBoard
from evoguard.domain.verdict import Finding
from evoguard.errors import InputError, IntegrityError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)
DIGEST = digest_of(b"x")
GOOD = b"""version = 1
[component.a]
paths = ["a/**"]
flag = "fa"
[component.a.kpi.errors]
[policy]
guard = ["deploy/**"]
max_files = 5
"""


@given(JSON)
def test_canonical_json_reads_back_and_does_not_depend_on_order(value):
    raw = canonical(value)
    assert json.loads(raw) == value
    assert canonical(json.loads(raw)) == raw


@pytest.mark.parametrize("value", [1.5, {"a": [0.0]}, float("nan"), {"a": "\ud800"}, {1: "a"}, {"a": object()}])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        canonical(value)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "a" * 63, "SHA256:" + "a" * 64, "a" * 64]
)
def test_what_is_no_digest_is_refused(text):
    with pytest.raises(ValueError, match="sha256"):
        as_digest(text)


@given(
    st.lists(
        st.builds(Event, st.just("change.mapped"), st.dictionaries(st.text(max_size=5), JSON, max_size=3)), max_size=3
    )
)
def test_events_pass_through_a_checkpoint_unchanged(events):
    try:
        text = encode(events)
    except (ValueError, TypeError):
        return  # keys with lone surrogates have no canonical form
    assert list(decode(text)) == events


@pytest.mark.parametrize("text", ["{", "[1]", '[{"type": "no.such"}]', '[{"type": "change.mapped", "body": []}]'])
def test_events_that_cannot_be_read_are_an_integrity_error(text):
    with pytest.raises((IntegrityError, AttributeError)):
        decode(text)


def test_the_same_head_is_the_same_change_and_anything_else_is_another():
    one = change_id("r", "b", "h", "a")
    assert one == change_id("r", "b", "h", "a")
    assert len({one, change_id("x", "b", "h", "a"), change_id("r", "x", "h", "a"), change_id("r", "b", "x", "a"),
                change_id("r", "b", "h", "x")}) == 5  # fmt: skip


def test_every_part_of_what_people_approve_changes_its_digest():
    proposal = Proposal("r", CommitId("b" * 40), CommitId("h" * 40), TreeId("t" * 40), "i", Author("a", "agent"))
    parts = {"evidence": DIGEST, "bundle": DIGEST, "component": DIGEST, "decision": DIGEST}
    one = approval_digest(proposal=proposal, **parts)
    others = {approval_digest(proposal=proposal, **{**parts, name: digest_of(b"y")}) for name in parts}
    assert len({one, *others}) == 5


@pytest.mark.parametrize(
    ("vote", "counts"),
    [
        ({}, True),
        ({"kind": "agent"}, False),
        ({"by": "author"}, False),
        ({"digest": digest_of(b"y")}, False),
        ({"verdict": "reject"}, False),
        ({"expires": 50}, False),
    ],
)
def test_only_an_unexpired_vote_of_another_person_on_this_digest_counts(vote, counts):
    given_vote = {
        "by": "ann",
        "kind": "person",
        "digest": DIGEST,
        "verdict": "approve",
        "at": 1,
        "expires": 200,
        **vote,
    }
    people = people_for([Approval(**given_vote)], digest=DIGEST, author=Author("author", "agent"), now=100)
    assert (people == {"ann"}) is counts


def test_one_person_voting_often_is_one_person():
    votes = [Approval("ann", "person", DIGEST, "approve", 1, 200, str(n)) for n in range(3)]
    assert len(people_for(votes, digest=DIGEST, author=Author("x", "agent"), now=100)) == 1


def test_a_reject_has_no_expiry():
    assert rejected_by([Approval("ann", "person", DIGEST, "reject", 1, 2)], digests={DIGEST}) == "ann"


@pytest.mark.parametrize(
    "changes",
    [{"passed": False}, {"isolation": ""}, {"run": 0}, {"run": 2}, {"failed": 1}, {"findings": (Finding("a.b", "c"),)}],
)
def test_evidence_is_green_only_when_everything_holds(changes):
    facts = {
        "tree": "t", "passed": True, "isolation": "gvisor", "behaviour": "recorded", "expected": 3, "run": 3,
        "failed": 0, "tests": (), "findings": (),
    }  # fmt: skip
    assert Evidence(**{**facts, **changes}).green is False
    assert Evidence("t", True, "gvisor", "recorded", 3, 3, 0, (), ()).green is True


def test_a_component_file_gives_components_and_tightens_only():
    read = parse(GOOD)
    assert read.covering(["a/x.py"]).flag == "fa"
    assert read.covering(["a/x.py", "b.py"]) == Component()
    assert read.covering([]) == Component()
    assert read.tighten() == {"guard": ["deploy/**"], "max_files": 5, "max_lines": 0, "quorum": 0, "seats": 0,
                              "assurance": "", "split_percent": 0}  # fmt: skip
    assert parse(None).covering(["a"]) == Component()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"version = 2\n", b"version = 1\nx = 1\n", b"\xff", b"version = 1\n[component]\na = 1\n",
        b"version = 1\n[component.'A b']\n", b"version = 1\n[component.a]\nstages = [10, 1]\n",
        b"version = 1\n[component.a]\nstages = [1, 50]\n", b"version = 1\n[component.a]\nquorum = 0\n",
        b"version = 1\n[component.a]\nquorum = true\n", b"version = 1\n[component.a.kpi.errors]\nmargin_percent = 50\n",
        b"version = 1\n[component.a]\nflag = 'x'\n[component.b]\nflag = 'x'\n",
        b"version = 1\n[component.a]\nrelease_branch = 'm'\n[component.b]\nrelease_branch = 'm'\n",
        b"version = 1\n[component.a]\nrelease_branch = '../x'\n", b"version = 1\n[policy]\nguard = ['a[b]']\n",
        b"version = 1\n[policy]\nmax_files = -1\n", b"version = 1\n" + b"#" * 70_000,
    ],
)  # fmt: skip
def test_a_component_file_that_is_wrong_is_one_clear_error(text):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.code == "component.invalid"


@given(st.binary(max_size=200))
def test_any_bytes_as_a_component_file_are_read_or_refused(raw):
    with contextlib.suppress(InputError):
        assert parse(raw).tighten()


@pytest.mark.parametrize(
    ("path", "glob", "hit"),
    [("a/b.py", "a/**", True), ("a/b/c.py", "a/**", True), ("ab/c.py", "a/**", False), ("a.py", "*.py", True),
     ("d/a.py", "*.py", False), ("d/a.py", "**/*.py", True), ("tests/test_a_b.py", "tests/test_a*.py", True)],
)  # fmt: skip
def test_globs_match_by_folder(path, glob, hit):
    assert matches(path, glob) is hit


def test_an_epoch_outlives_its_kill_and_an_unreadable_latch_kills_everything():
    old = Latch("kill-1", 3, "component", "a", "r", "ann", 1, lifted=True)
    board = LatchBoard((old,))
    assert not board.killed(component="a", flag="f")
    assert board.fence(component="a", flag="f") == 3
    assert board.fence(component="b", flag="g") == 0
    assert LatchBoard((), ("x.json",)).killed(component="", flag="")
    assert not Latch("kill-2", 1, "component", "", "r", "ann", 1).covers(component="", flag="")


def test_digest_type_is_text():
    assert Digest("sha256:x") == "sha256:x"
