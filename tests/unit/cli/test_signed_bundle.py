"""A bundle that its builder signed: proved by a stranger with the public key, and by `policy activate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.adapters import bundles, keys
from evoguard.wiring import activating
from unit.cli.installed import Installed
from unit.cli.recorded import edited


@pytest.fixture(autouse=True)
def tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundles' own tests take seconds; the attacks on activation run them."""
    monkeypatch.setattr(activating, "run_rule_tests", lambda *_, **__: [("told/to/pass", True)])
    monkeypatch.setattr(activating, "QUESTIONS", 20)


@pytest.fixture
def tight(tmp_path: Path) -> Path:
    return edited(tmp_path / "tight", max_files=10)


def sign(folder: Path, key: Path, of: Path | None = None) -> None:
    digest = bundle.load(of or folder).manifest.digest
    (folder / bundle.SIGNATURE).write_bytes(bundles.signature(digest, keys.load_private(key)))


def another_key(installed: Installed, folder: Path) -> None:
    keys.generate(folder.parent / "stranger.key")
    sign(folder, folder.parent / "stranger.key")


def another_bundle(installed: Installed, folder: Path) -> None:
    sign(folder, Path(installed.key("alice")), of=edited(folder.parent / "other", max_files=11))


def no_envelope(installed: Installed, folder: Path) -> None:
    (folder / bundle.SIGNATURE).write_text('{"payload": ""}')


def too_long(installed: Installed, folder: Path) -> None:
    (folder / bundle.SIGNATURE).write_text(" " * 70_000)


def a_link(installed: Installed, folder: Path) -> None:
    sign(folder, Path(installed.key("alice")))
    (folder / bundle.SIGNATURE).rename(folder.parent / "elsewhere")
    (folder / bundle.SIGNATURE).symlink_to(folder.parent / "elsewhere")


SPOILT = [(another_key, "auth.signature"), (another_bundle, "integrity.signature"), (no_envelope, "dsse.shape"),
          (too_long, "json.size"), (a_link, "integrity.signature")]  # fmt: skip


def test_the_builders_key_proves_it_and_its_name_is_shown_to_who_signs(installed: Installed, tight: Path):
    sign(tight, Path(installed.key("alice")))
    public = f"{installed.folder}/alice.pub"
    answer = installed.json("policy", "verify", str(tight), "--key", public)
    assert (answer.code, answer.doc["bundle"]) == (0, bundle.load(tight).manifest.digest)
    assert installed.json("policy", "activate", str(tight), "--dry-run").doc["built_by"] == "alice"
    shown = installed.run("policy", "activate", str(bundle.load(tight).manifest.digest), "--dry-run").out
    assert "built by" in shown
    assert "alice" in shown  # kept beside the bundle, for the second person who names the digest


def test_one_without_a_signature_is_not_verified_and_says_so_when_put_in_force(installed: Installed, tight: Path):
    answer = installed.json("policy", "verify", str(tight), "--key", f"{installed.folder}/alice.pub")
    assert (answer.code, answer.error["code"]) == (2, "policy.unsigned")
    assert installed.json("policy", "activate", str(tight), "--dry-run").doc["built_by"] == ""


@pytest.mark.parametrize(("spoil", "code"), SPOILT, ids=[spoil.__name__ for spoil, _ in SPOILT])
def test_a_signature_that_does_not_hold_is_refused_by_both(
    installed: Installed, tight: Path, spoil: Callable[[Installed, Path], None], code: str
):
    spoil(installed, tight)
    for words in (
        ("verify", str(tight), "--key", f"{installed.folder}/alice.pub"),
        ("activate", str(tight), "--dry-run"),
    ):
        answer = installed.json("policy", *words)
        assert (answer.code != 0, answer.error["code"]) == (True, code)


def test_a_file_that_was_changed_after_the_signature_is_not_verified(installed: Installed, tight: Path):
    sign(tight, Path(installed.key("alice")))
    (tight / bundle.SOURCES).write_text("{}")
    answer = installed.json("policy", "verify", str(tight), "--key", f"{installed.folder}/alice.pub")
    assert answer.error["code"] == "integrity.policies"
