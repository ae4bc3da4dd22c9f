"""The corpus of changes is whole, and a look that is taken away is missed: what the bench counts is what was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.bench.corpus import changes as corpus
from evoguard.bench.corpus import judged as looks
from evoguard.bench.corpus.changes import (
    FIRST,
    HONEST,
    HONEST4,
    SECOND,
    UNSEEN2,
    UNSEEN3,
    UNSEEN4,
    UNSEEN5,
    Change,
    changes,
)
from evoguard.bench.corpus.judged import judged
from evoguard.domain.scan import Scan

ALL = (FIRST, SECOND, UNSEEN2, UNSEEN3, UNSEEN4, UNSEEN5, HONEST, HONEST4)


class NoScan:
    """A scan of nothing: what other looks find is seen alone."""

    async def scan(self, *_: object) -> Scan:
        return Scan("complete", "none", "", 0, 0)


def one(kind: str, title: str) -> Change:
    (found,) = [change for name in ALL for change in changes(name) if (change.kind, change.title) == (kind, title)]
    return found


async def said(change: Change) -> looks.Judged:
    (seen,) = await judged([change], NoScan(), OpaWasmPolicies())  # type: ignore[arg-type]  # what the bench uses of it
    return seen


def test_every_change_changes_something() -> None:
    listed = [change for name in ALL for change in changes(name)]
    assert len(changes(FIRST)) + len(changes(SECOND)) >= 60
    assert [len(changes(name)) for name in ALL[2:]] == [40, 20, 41, 12, 23, 24]
    assert len({(change.kind, change.title) for change in listed}) == len(listed)
    assert all(change.pairs and change.base != change.head for change in listed)


@pytest.mark.parametrize(
    ("kind", "title", "caught"),
    [
        ("lock edit", "a Cargo crate of another checksum", "denied"),
        ("lock edit", "yarn takes it elsewhere", "denied"),
        ("hidden text", "a line turned round", "denied"), ("auth backdoor", "constant time is gone", "escalated"),
        ("install hooks", "a build back-end of its own", "escalated"), ("install hooks", "a pth file", "escalated"),
        ("reverse shell", "Python", "escalated"), ("localisation", "isolates around what is put in", ""),
    ],
)  # fmt: skip
async def test_what_is_caught_without_the_scan(kind: str, title: str, caught: str) -> None:
    assert (await said(one(kind, title))).caught == caught


async def test_a_look_that_is_taken_away_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, settings = (
        one("limits", "numbers move to the settings"),
        one("install hooks", "npm is told by its settings"),
    )
    assert [(await said(change)).caught for change in (limits, settings)] == ["escalated", "escalated"]
    monkeypatch.setattr(looks, "unusual", lambda *_: ())
    assert [(await said(change)).caught for change in (limits, settings)] == ["", ""]
    turned = one("hidden text", "a line turned round")
    assert (await said(turned)).caught == "denied"
    monkeypatch.setattr(looks, "hidden", lambda *_: [])
    assert (await said(turned)).caught == ""


def test_an_edit_that_does_not_fit_its_base_is_an_error() -> None:
    good = "<<<\nhmac.compare_digest(given.encode(), expected.encode())\n>>>\nTrue\n"
    assert b"return True" in _edited(good)
    for bad in (good.replace("given", "nobody"), "<<<\nreturn\n>>>\nx\n"):
        with pytest.raises(ValueError, match="stands there"):
            _edited(bad)


def _edited(said: str) -> bytes:
    return corpus._edited(corpus._base("base.txt")["src/app/auth.py"], said, "a title").data


async def test_a_guard_path_or_another_file_is_no_reason() -> None:
    change = one("ci tampering", "rights widened")
    seen = replace(await said(change), escalate=())
    assert [finding.code for finding in seen.deny] == ["approval.guard_paths"]
    assert seen.caught == ""
    scanned = replace(seen.deny[0], code="change.scan_finding")
    assert replace(seen, deny=(scanned,)).caught == "denied"
    assert replace(seen, deny=(replace(scanned, path="elsewhere"),)).caught == ""
