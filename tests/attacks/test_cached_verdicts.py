"""A remembered verdict is believed only as the runner signed it, for exactly these inputs; else the suite runs again.

What has write access to the folder of entries, but not the runner's key, must not turn a no into a yes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.adapters import dsse, keys, sandbox_cache, tool_cache
from evoguard.adapters.held_out import HeldOut
from evoguard.adapters.sandbox import REMEMBERED, GvisorSandbox
from evoguard.adapters.sandbox_cache import INTOTO_TYPE, VerdictCache, runner_key
from evoguard.domain.canonical import canonical, digest_of
from evoguard.ports.forge import Blob
from evoguard_sandbox import SuiteReport, TestResult
from evoguard_sandbox.judging.cached import FORMAT
from evoguard_sandbox.types import Behaviour

GREEN_KEY, RED_KEY = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SILENT = Behaviour("not recorded", "nothing was run")
GREEN = SuiteReport(
    True, "finished", (), (TestResult("t::a", "passed", 1),), (), ("t::a",), {"passed": 1}, SILENT, "runsc", "Linux",
    "host", 12, 1, "", "pass", "held-out", isolation="gvisor",
)  # fmt: skip
RED = replace(GREEN, passed=False, verdict="fail", tests=(TestResult("t::a", "failed", 1),), counts={"failed": 1})


class Store:
    """A folder with a green entry of one key and a red one of another."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.folder = folder / "keys", folder / "verdicts"
        self.keys.mkdir(mode=0o700)
        self.key = runner_key(self.keys)
        self.cache = VerdictCache(self.folder, self.key)
        self.cache.put(GREEN_KEY, GREEN)
        self.cache.put(RED_KEY, RED)

    def path(self, key: str) -> Path:
        return self.folder / key.removeprefix("sha256:")

    def parts(self, key: str) -> tuple[dict[str, object], bytes]:
        envelope, _, body = self.path(key).read_bytes().partition(b"\n")
        return json.loads(envelope), body

    def lay(self, envelope: object, body: bytes) -> None:
        self.path(RED_KEY).write_bytes(json.dumps(envelope).encode() + b"\n" + body)

    def sign(self, body: bytes, signer: Path, **change: object) -> None:
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "report", "digest": {"sha256": digest_of(body).removeprefix("sha256:")}}],
            "predicateType": sandbox_cache.PREDICATE_TYPE,
            "predicate": {"format": FORMAT, "key": RED_KEY, "verdict": "pass"},
            **change,
        }
        self.path(RED_KEY).write_bytes(
            dsse.seal(INTOTO_TYPE, canonical(statement), keys.load_private(signer)).encode() + b"\n" + body
        )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def moved(store: Store) -> None:
    """The green entry of another tree under the red one's name."""
    store.path(RED_KEY).write_bytes(store.path(GREEN_KEY).read_bytes())


def unsigned(store: Store) -> None:
    envelope, body = store.parts(GREEN_KEY)
    store.lay({**envelope, "signatures": []}, body)


def no_envelope(store: Store) -> None:
    store.path(RED_KEY).write_bytes(store.parts(GREEN_KEY)[1])


def foreign_signature(store: Store) -> None:
    """Signed by a key of the forger's, for the right inputs."""
    keys.generate(store.keys / "mine.key")
    store.sign(store.parts(GREEN_KEY)[1], store.keys / "mine.key")


def edited_report(store: Store) -> None:
    """The red entry's own envelope over a report in which the no is a yes."""
    envelope, body = store.parts(RED_KEY)
    doc = {**json.loads(body), "passed": True, "verdict": "pass", "tests": []}
    store.lay(envelope, json.dumps(doc, sort_keys=True).encode())


def green_report(store: Store) -> None:
    """The red entry's own envelope over the other entry's report."""
    store.lay(store.parts(RED_KEY)[0], store.parts(GREEN_KEY)[1])


def cut_short(store: Store) -> None:
    store.path(RED_KEY).write_bytes(store.path(GREEN_KEY).read_bytes()[:-40])


def cut_to_its_envelope(store: Store) -> None:
    store.path(RED_KEY).write_bytes(store.path(GREEN_KEY).read_bytes().partition(b"\n")[0])


def empty(store: Store) -> None:
    store.path(RED_KEY).write_bytes(b"")


def noise(store: Store) -> None:
    store.path(RED_KEY).write_bytes(os.urandom(4096))


def older_format(store: Store) -> None:
    """An entry that this very runner signed when entries meant something else."""
    predicate = {"format": FORMAT - 1, "key": RED_KEY, "verdict": "pass"}
    store.sign(store.parts(GREEN_KEY)[1], store.key, predicate=predicate)


def another_kind_of_statement(store: Store) -> None:
    """Whatever else the runner may sign one day is no verdict."""
    store.sign(store.parts(GREEN_KEY)[1], store.key, predicateType="evoguard:something-else/v1")


def two_signatures(store: Store) -> None:
    envelope, body = store.parts(GREEN_KEY)
    store.lay({**envelope, "signatures": [*envelope["signatures"], *envelope["signatures"]]}, body)  # type: ignore[misc]


def claimed_verdict(store: Store) -> None:
    """The statement says pass, the report under it says fail."""
    store.sign(store.parts(RED_KEY)[1], store.key)


def a_link(store: Store) -> None:
    """The entry is a link to the green one."""
    store.path(RED_KEY).unlink()
    store.path(RED_KEY).symlink_to(store.path(GREEN_KEY))


def a_pipe(store: Store) -> None:
    store.path(RED_KEY).unlink()
    os.mkfifo(store.path(RED_KEY))


def a_folder(store: Store) -> None:
    store.path(RED_KEY).unlink()
    store.path(RED_KEY).mkdir()


def new_runner_key(store: Store) -> None:
    """The runner has another key now: what the old one signed proves nothing any more."""
    store.key.unlink()
    runner_key(store.keys)
    store.cache = VerdictCache(store.folder, store.key)


DEEDS: list[Callable[[Store], None]] = [
    moved, unsigned, no_envelope, foreign_signature, edited_report, green_report, cut_short, cut_to_its_envelope, empty,
    noise, older_format, another_kind_of_statement, two_signatures, claimed_verdict, a_link, a_pipe, a_folder,
    new_runner_key,
]  # fmt: skip


def test_what_was_signed_for_these_inputs_is_remembered(store):
    assert store.cache.get(GREEN_KEY) == GREEN
    assert store.cache.get(RED_KEY) == RED
    assert store.cache.get("sha256:" + "c" * 64) is None
    assert (store.cache.counts.hits, store.cache.counts.misses, store.cache.counts.refused) == (2, 1, 0)


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_a_forged_entry_is_not_used_and_counted(store, deed):
    deed(store)
    assert store.cache.get(RED_KEY) is None
    assert store.cache.counts.refused == 1
    assert store.cache.counts.why


@pytest.mark.parametrize("deed", [d for d in DEEDS if d not in (a_folder, new_runner_key)], ids=lambda d: d.__name__)
def test_after_a_forgery_the_next_run_is_remembered_again(store, deed):
    deed(store)
    store.cache.get(RED_KEY)
    store.cache.put(RED_KEY, RED)
    assert store.cache.get(RED_KEY) == RED


def test_a_folder_that_others_can_write_is_not_read(store):
    store.folder.chmod(0o777)
    assert store.cache.get(GREEN_KEY) is None
    assert "not ours alone" in store.cache.counts.why


def test_a_void_that_was_signed_by_mistake_is_not_believed(store):
    void = replace(GREEN, passed=False, verdict="void")
    store.cache.put(RED_KEY, void)
    assert store.cache.get(RED_KEY) is None


def test_entries_are_bounded_and_the_oldest_goes(store, monkeypatch):
    monkeypatch.setattr(sandbox_cache, "MOST_ENTRIES", 2)
    os.utime(store.path(GREEN_KEY), (0, 0))
    store.cache.put("sha256:" + "c" * 64, GREEN)
    assert store.cache.get(GREEN_KEY) is None
    assert len(list(store.folder.iterdir())) == 2


BASE = {
    "calc.py": Blob("100644", b"def one():\n    return 1\n"),
    "test_calc.py": Blob("100644", b"from calc import one\ndef test_one():\n    assert one() == 1\n"),
}
WRONG = {**BASE, "calc.py": Blob("100644", b"def one():\n    return 2\n")}


def gvisor(folder: Path, cache: VerdictCache, held_out: str = "") -> GvisorSandbox:
    return GvisorSandbox(
        folder, runsc=tool_cache.runsc_path(), layer=tool_cache.layer_dir(), wall_s=60, cache=cache,
        held_out=HeldOut(held_out),
    )  # fmt: skip


@pytest.mark.needs_gvisor
async def test_a_run_never_reads_what_is_remembered_and_a_second_look_runs_nothing(tmp_path, monkeypatch):
    (tmp_path / "keys").mkdir(mode=0o700)
    cache = VerdictCache(tmp_path / "verdicts", runner_key(tmp_path / "keys"))
    sandbox = gvisor(tmp_path, cache)
    assert await sandbox.remembered("r", "t", BASE, WRONG) is None
    fresh = await sandbox.run("r", "t", BASE, WRONG)
    assert (fresh.passed, fresh.verdict, cache.counts.stored) == (False, "fail", 1)
    again = await sandbox.remembered("r", "t", BASE, WRONG)
    assert again is not None
    assert again == replace(fresh, notes=(*fresh.notes, REMEMBERED))
    assert await sandbox.remembered("r", "t", BASE, BASE) is None
    hits = cache.counts.hits
    entry = next((tmp_path / "verdicts").iterdir())
    cache.put(f"sha256:{entry.name}", GREEN)  # what a remembered lie would do to a real submission: nothing
    assert (await sandbox.run("r", "t", BASE, WRONG)).verdict == "fail"
    assert cache.counts.hits == hits
    await sandbox.close()


@pytest.mark.needs_gvisor
async def test_other_held_out_tests_are_other_inputs(tmp_path):
    (tmp_path / "keys").mkdir(mode=0o700)
    held = tmp_path / "held"
    (held / "r").mkdir(mode=0o700, parents=True)
    held.chmod(0o700)
    (held / "r" / "test_held.py").write_text("from calc import one\ndef test_held():\n    assert one() + 1 == 2\n")
    cache = VerdictCache(tmp_path / "verdicts", runner_key(tmp_path / "keys"))
    sandbox = gvisor(tmp_path, cache, str(held))
    assert (await sandbox.run("r", "t", BASE, BASE)).passed
    assert await sandbox.remembered("r", "t", BASE, BASE) is not None
    (held / "r" / "test_held.py").write_text("from calc import one\ndef test_held():\n    assert one() + 2 == 3\n")
    assert await sandbox.remembered("r", "t", BASE, BASE) is None
    await sandbox.close()
