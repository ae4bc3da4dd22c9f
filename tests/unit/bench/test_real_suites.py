"""Foreign packages: nothing of them runs while they are fetched, only the pinned bytes are read; edits are honest."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.bench import suites
from evoguard.bench.real import LOCK, RealSuite, listing, native
from evoguard.bench.real import sdists as held
from evoguard.bench.real.edits import KINDS, honest
from evoguard.errors import IntegrityError, UnavailableError
from evoguard_sandbox.installing.locks import normal, parse
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.types import TestResult, Usage

INFO = b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"
EVIL = b"""import os, pathlib
pathlib.Path(os.environ["EVIL_MARK"]).touch()
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    made = pathlib.Path(folder, "evil-1.0.dist-info")
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: evil\\nVersion: 1.0\\n")
    return made.name
"""
BUILD = b'[build-system]\nrequires = []\nbuild-backend = "evil"\nbackend-path = ["."]\n'
SOURCE = (
    b'''"""A module."""


def _double(value):
    """Twice."""
    total = value + value
    return total


class Box:
    def size(self):
        held = [1]
        held.append(2)
        return len(held)
'''
    + b"# long enough to be edited\n" * 6
)


def archive(files: dict[str, bytes], top: str = "evil-1.0") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(f"{top}/{path}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue())


def a_suite(data: bytes, **more: object) -> RealSuite:
    return replace(RealSuite("evil", "1.0", hashlib.sha256(data).hexdigest()), **more)  # type: ignore[arg-type]


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def put(data: bytes) -> None:
        folder = tmp_path / "evoguard" / "sdists"
        folder.mkdir(parents=True)
        (folder / "evil-1.0.tar.gz").write_bytes(data)

    return put


def test_nothing_of_an_archive_runs_while_it_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive({"PKG-INFO": INFO, "pyproject.toml": BUILD, "evil.py": EVIL, "setup.py": EVIL})
    index = tmp_path / "index"
    index.mkdir()
    (index / "evil-1.0.tar.gz").write_bytes(data)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(index)), ("EVIL_MARK", str(tmp_path / "ran"))):
        monkeypatch.setenv(name, value)
    assert held.sdist(a_suite(data), tmp_path / "sdists") == data
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_is_not_the_pinned_one_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive({"PKG-INFO": INFO, "pyproject.toml": BUILD, "evil.py": EVIL})
    (tmp_path / "evil-1.0.tar.gz").write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(IntegrityError):
        held.sdist(a_suite(b"other bytes"), tmp_path / "sdists")
    assert list((tmp_path / "sdists").iterdir()) == []


def test_a_package_that_cannot_be_had_is_told_without_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UnavailableError) as seen:
        held.sdist(a_suite(b""), tmp_path / "sdists")
    assert "://" not in str(seen.value)


def test_a_cached_archive_is_verified_at_every_use(cached: Callable[[bytes], None]) -> None:
    cached(archive({"PKG-INFO": INFO, "evil.py": b"another program"}))
    with pytest.raises(IntegrityError, match="not the pinned one"):
        held.tree_of(a_suite(archive({"PKG-INFO": INFO})))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no gzip at all", "no gzip"),
        (archive({"a": b"x"})[:-20], "cut off"),
        (archive({"../out": b"x"}), "'..'"),
        (archive({"a": b"x"}) + gzip.compress(b""), "goes on"),
        (archive({"a": bytes(1 << 20)}), "too large"),
        (archive({"a": b"x"}, "one"), ""),
    ],
    ids=["no gzip", "cut off", "out of itself", "a second part", "a bomb", "whole"],
)
def test_an_archive_that_is_not_whole_and_bounded_is_refused_even_when_it_is_pinned(
    cached: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch, data: bytes, why: str
) -> None:
    monkeypatch.setattr(held, "MOST_UNPACKED", 1 << 20)
    cached(data)
    if not why:
        assert set(held.tree_of(a_suite(data))) == {"a"}
        return
    with pytest.raises(IntegrityError, match=why):
        held.tree_of(a_suite(data))


def test_a_tree_has_its_metadata_and_not_what_is_dropped(cached: Callable[[bytes], None]) -> None:
    data = archive({"PKG-INFO": INFO, "evil.py": EVIL, "bench/test_slow.py": b"", "tests/test_a.py": b""})
    cached(data)
    tree = held.tree_of(a_suite(data, drop=("bench/**",), without={"tests/test_a.py::test_tty": "wants a terminal"}))
    assert tree["evil-1.0.dist-info/METADATA"] == (0o100644, INFO)
    assert "bench/test_slow.py" not in tree
    assert b"--deselect=tests/test_a.py::test_tty" in tree["pytest.ini"][1]


def test_every_listed_suite_has_its_pins_and_none_of_them_is_the_package_itself() -> None:
    pinned = {normal(pin.name) for pin in parse(LOCK.read_bytes())}
    told = listing()
    assert len({suite.name for suite in told.suites}) == len(told.suites) >= suites.LEAST_SUITES
    for suite in told.suites:
        assert {normal(name) for name in suite.needs} <= pinned, suite.name
        assert normal(suite.name) not in {normal(name) for name in suite.needs}, "its copy would be tested"
        assert all(reason for reason in suite.without.values())
    assert set(told.quick) <= {suite.name for suite in told.suites}


def _trusted(path: str) -> bool:
    return path.startswith("tests/")


TREE = {"pkg/__init__.py": (0o100644, SOURCE), "tests/test_pkg.py": (0o100644, SOURCE), "setup.py": (0o100644, SOURCE)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_an_honest_edit_changes_one_module_and_not_what_it_does(kind: str, seed: int) -> None:
    edit = honest(TREE, _trusted, ("pkg",), kind=kind, seed=seed)
    assert [path for path in TREE if edit.files[path] != TREE[path]] == ["pkg/__init__.py"]
    assert edit == honest(TREE, _trusted, ("pkg",), kind=kind, seed=seed)
    names: dict[str, object] = {}
    exec(compile(ast.parse(edit.files["pkg/__init__.py"][1]), "pkg", "exec"), names)  # noqa: S102 (the text above)
    assert names["_double"](21) == 42  # type: ignore[operator]
    assert names["Box"]().size() == 2  # type: ignore[operator]


def test_kinds_of_edits_differ() -> None:
    made = {honest(TREE, _trusted, ("pkg",), kind=kind, seed=1).files["pkg/__init__.py"][1] for kind in KINDS}
    assert len(made) == len(KINDS)


def a_native(**outcomes: str) -> native.Native:
    return native.Native(outcomes, {}, "failed" not in outcomes.values(), 2.0, 2.0, "")


def boxed(**outcomes: str) -> RunFacts:
    tests = tuple(TestResult(name, outcome, 1) for name, outcome in outcomes.items())
    return RunFacts("finished", tests=tests, end_status=0, exit_status=0, usage=Usage(cpu_ms=3000))


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        (boxed(a="passed", b="skipped"), 0),
        (boxed(a="failed", b="skipped"), 1),
        (boxed(a="passed"), 1),
        (boxed(a="passed", b="skipped", c="passed"), 1),
        (replace(boxed(a="passed", b="skipped"), outcome="wall"), 1),
        (replace(boxed(a="passed", b="skipped"), end_status=None), 1),
        (replace(boxed(a="passed", b="skipped"), uncollected=(("x.py", "why"),)), 1),
    ],
)
def test_every_way_to_come_out_otherwise_is_a_difference(seen: RunFacts, count: int) -> None:
    assert len(suites.differences(a_native(a="passed", b="skipped"), seen)) == count


def test_a_suite_that_is_red_or_unsteady_without_a_sandbox_is_left_out_by_name() -> None:
    assert suites.unfit([a_native(a="passed"), a_native(a="passed")]) == ""
    assert "a" in suites.unfit([a_native(a="failed"), a_native(a="failed")])
    assert "twice" in suites.unfit([a_native(a="passed", b="passed"), a_native(a="passed", b="skipped")])


def a_row(**more: object) -> suites.Row:
    row = suites.Row(
        RealSuite("a", "1", ""), tests=10, rounds=5, split=8, native=suites.Took(2, 2), sandbox=suites.Took(3, 3)
    )
    return replace(row, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        ({"differences": ("x: passed, in the sandbox failed",)}, "suites whose every test comes out the same"),
        ({"refusals": ("comment in a.py",)}, "honest changes refused"),
        ({"split": 5}, "tests that ran split, median suite"),
        ({"ratio": 1.95}, "processor time, the dearest of them"),
        ({"ratio": None}, "processor time, the dearest of them"),
        ({"left_out": "not green"}, "real suites judged"),
    ],
)
def test_each_bar_is_missed_by_what_it_is_for(change: dict[str, object], figure: str) -> None:
    def missed(row: suites.Row) -> set[str]:
        return {f.name for f in suites.figures([row] * suites.LEAST_SUITES, quick=False, excluded={}) if not f.ok}

    assert missed(a_row(ratio=1.5)) == set()
    assert figure in missed(a_row(**{"ratio": 1.5, **change}))


def test_start_is_subtracted_on_both_sides() -> None:
    took = suites.ratio(suites.Took(2, 2.2), suites.Took(3, 3.8), (0.2, 0.8))
    assert took == pytest.approx(1.5)
    assert suites.ratio(suites.Took(2, 2.2), suites.Took(3, 0), (0.2, 0.8)) is None


def test_the_baseline_notes_every_outcome_and_counts_the_processor() -> None:
    test = b"""import pytest
def test_a(): assert sum(range(3_000_000))
def test_b(): assert False
@pytest.mark.skip
def test_c(): pass
@pytest.mark.xfail
def test_d(): assert False
@pytest.fixture
def broken(): raise OSError
def test_e(broken): pass
"""
    layer = Path(pytest.__file__).parents[1]
    seen = native.run({"test_it.py": (0o100644, test)}, native.arguments("", (), own_mode=False), [layer])
    assert [seen.outcomes[f"test_it.py::test_{n}"] for n in "abcde"] == [
        "passed", "failed", "skipped", "xfailed", "error",
    ]  # fmt: skip
    assert not seen.green
    assert seen.cpu_s > 0
    assert os.path.isdir(layer)
