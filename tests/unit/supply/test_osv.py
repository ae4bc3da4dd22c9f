"""Advisories: which versions they cover, and that a database is what was imported or nothing at all.

Every entry here is made up; none is about a real package or a real fault.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evoguard.adapters.advisories import source
from evoguard.adapters.advisories.store import CURRENT, OsvStore
from evoguard.errors import InputError
from evoguard.supply import cvss
from evoguard.supply.osv import affects, kept
from evoguard.supply.vulnerable import vulnerable
from unit.supply.given_trees import HASH, looked_at

NOW = 1_790_000_000
EVIL = ("PyPI", "evil-made-up")


def entry(id_: str = "MADE-UP-1", name: str = "Evil.Made_Up", ecosystem: str = "PyPI", **more: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    affected = {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "1.5"}]}], "versions": ["2.0"],
    }  # fmt: skip
    return {
        "id": id_, "modified": "2026-09-01T00:00:00Z", "affected": [affected],
        "database_specific": {"severity": "HIGH"}, **more,
    }  # fmt: skip


def folder(path: Path, *entries: object) -> Path:
    path.mkdir()
    for number, one in enumerate(entries):
        (path / f"{number}.json").write_text(json.dumps(one))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def store(tmp_path: Path) -> OsvStore:
    return OsvStore(tmp_path / "advisories")


@pytest.mark.parametrize(
    ("ecosystem", "events", "version", "told"),
    [
        ("PyPI", ["introduced 0", "fixed 1.10"], "1.9", True), ("PyPI", ["introduced 0", "fixed 1.10"],
        "1.10.0", False),
        ("PyPI", ["introduced 1.0", "last_affected 2.0"], "2.0", True), ("PyPI", ["introduced 1.0"], "0.9", False),
        ("PyPI", ["introduced 1.0", "fixed 1.5", "introduced 2.0"], "1.7", False),
        ("PyPI", ["introduced 2.0", "introduced 1.0", "fixed 1.5"], "2.1", True),
        ("PyPI", ["introduced 1.0", "fixed 2.0"], "2.0rc1", True), ("PyPI", ["introduced 0"], "not a version", True),
        ("PyPI", ["introduced 1.0", "fixed nonsense"], "0.1", True), ("PyPI", ["introduced 0"], "0.0.1.dev1", True),
        ("npm", ["introduced 1.0.0", "fixed 1.10.0"], "1.9.0", True), ("npm", ["introduced 0", "fixed 1.0.0"],
        "1.0.0-rc.1", True),
        ("npm", ["introduced 0", "fixed 1.0.0"], "1.0.0", False), ("Go", ["introduced 0", "fixed 1.2.3"],
        "1.2.2", True),
        ("Go", ["introduced 0", "fixed 1.2.3"], "1.2.4-0.20260101000000-abcdefabcdef", False),
    ],
)  # fmt: skip
def test_which_versions_a_range_covers(ecosystem: str, events: list[str], version: str, told: bool) -> None:
    assert affects(ecosystem, {"ranges": [events], "versions": []}, version) is told


def test_a_listed_version_is_covered_however_it_is_written() -> None:
    assert affects("PyPI", {"ranges": [], "versions": ["2.0"]}, "2.0.0")
    assert not affects("PyPI", {"ranges": [], "versions": ["2.0"]}, "2.1")
    assert affects("PyPI", {"ranges": [], "versions": []}, "9")


@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({}, "high"), ({"id": "MAL-2026-1"}, "malicious"),
        ({"database_specific": {"severity": "MODERATE"}}, "moderate"),
        ({"database_specific": {}}, "unknown"), ({"database_specific": 7}, "unknown"),
        ({"database_specific": {}, "severity": [{"type": "CVSS_V3",
        "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]},
         "critical"),
    ],
)  # fmt: skip
def test_how_bad_it_is(more: dict[str, Any], severity: str) -> None:
    (one,) = kept(entry(**more) if "id" not in more else {**entry(), **more})
    assert (one.name, one.row["severity"]) == ("evil-made-up", severity)


@pytest.mark.parametrize(
    ("vector", "word"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "critical"),
        ("CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", "high"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "moderate"),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", "low"),
        ("CVSS:4.0/AV:N", ""), ("", ""), ("CVSS:3.1/AV:X", ""),
    ],
)  # fmt: skip
def test_scores(vector: str, word: str) -> None:
    assert cvss.word(vector) == word


def test_a_withdrawn_entry_covers_nothing() -> None:
    assert list(kept(entry(withdrawn="2026-09-02T00:00:00Z"))) == []


def test_a_database_is_imported_proved_and_asked(store: OsvStore, tmp_path: Path) -> None:
    told = store.take(
        folder(tmp_path / "db", entry(), entry("MADE-UP-2", "other"), entry("MADE-UP-3", ecosystem="Debian")), NOW
    )
    advice = store.look_up(frozenset({EVIL}))
    assert (advice.status, advice.digest, advice.imported, advice.entries) == ("present", told["digest"], NOW, 2)
    assert advice.newest == 1_788_220_800
    assert [row["id"] for row in advice.rows[EVIL]] == ["MADE-UP-1"]
    assert OsvStore(tmp_path / "nowhere").look_up(frozenset({EVIL})).status == "none"


def test_a_zip_is_the_same_database_as_a_folder(store: OsvStore, tmp_path: Path) -> None:
    one = store.take(folder(tmp_path / "db", entry()), NOW)
    other = store.take(zipped(tmp_path / "db.zip", {"a.json": json.dumps(entry()).encode()}), NOW)
    assert one["digest"] == other["digest"]


@pytest.mark.parametrize(
    "how", ["edited", "row left out", "longer", "gone", "link", "pointer", "pointer out", "pointer empty"]
)
def test_a_database_that_is_not_what_was_imported_says_nothing(store: OsvStore, tmp_path: Path, how: str) -> None:
    store.take(folder(tmp_path / "db", entry(), entry("MADE-UP-2")), NOW)
    home = tmp_path / "advisories"
    (file,) = home.glob("*.tsv")
    raw = file.read_bytes()
    if how == "edited":
        file.write_bytes(raw.replace(b"MADE-UP-1", b"MADE-UP-9"))
    elif how == "row left out":
        file.write_bytes(b"\n".join(row for row in raw.split(b"\n") if b"MADE-UP-2" not in row))
    elif how == "longer":
        file.write_bytes(raw + b"PyPI\tx\t{}\n")
    elif how == "gone":
        file.unlink()
    elif how == "link":
        file.rename(tmp_path / "away")
        file.symlink_to(tmp_path / "away")
    else:
        text = {"pointer": "0" * 64, "pointer out": "../../etc/passwd", "pointer empty": ""}[how]
        (home / CURRENT).write_text(text)
    try:
        advice = store.look_up(frozenset({EVIL}))
    except Exception as err:  # noqa: BLE001  (an error is no answer either)
        assert type(err).__name__ == "UnavailableError"  # noqa: PT017
        return
    assert (advice.status, advice.rows) == ("damaged", {})


def with_field(**more: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    return {**entry(), **more}


@pytest.mark.parametrize(
    "bad",
    [
        [], 7, "x", with_field(id=7), with_field(id="../x"), with_field(id=""), with_field(modified="yesterday"),
        with_field(modified=7), with_field(affected={}), with_field(affected=[7]),
        with_field(affected=[{"package": []}]),
        with_field(affected=[{"package": {"ecosystem": "PyPI", "name": "a"}, "versions": [7]}]),
        with_field(affected=[{"package": {"ecosystem": "PyPI", "name": "a"}, "ranges": [{"type": "ODD",
        "events": []}]}]),
        with_field(affected=[{"package": {"ecosystem": "PyPI", "name": "a"}, "ranges": [{"type": "SEMVER",
        "events": [{"fixed": 1}]}]}]),
        with_field(affected=[{"package": {"ecosystem": "npm", "name": "a\tb"}}]),
        with_field(modified="2026-99-01T00:00:00Z"),
        with_field(withdrawn=7), with_field(severity=[7]),
    ],
)  # fmt: skip
def test_an_entry_of_wrong_types_refuses_the_whole_database(store: OsvStore, tmp_path: Path, bad: object) -> None:
    with pytest.raises(InputError):
        store.take(folder(tmp_path / "db", entry(), bad), NOW)
    assert store.look_up(frozenset({EVIL})).status == "none"


def test_a_refused_database_leaves_the_one_before(store: OsvStore, tmp_path: Path) -> None:
    told = store.take(folder(tmp_path / "good", entry()), NOW)
    with pytest.raises(InputError):
        store.take(folder(tmp_path / "bad", 7), NOW)
    assert store.look_up(frozenset()).digest == told["digest"]


def test_an_entry_that_stands_twice_refuses_the_whole_database(store: OsvStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twice"):
        store.take(folder(tmp_path / "db", entry(), entry()), NOW)


def test_a_database_without_anything_for_us_is_refused(store: OsvStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing in it"):
        store.take(folder(tmp_path / "db", entry(ecosystem="Debian")), NOW)


@pytest.mark.parametrize("name", ["../a.json", "/etc/a.json", "x/../../a.json", "..\\a.json", "C:/a.json"])
def test_a_zip_that_names_places_outside_is_refused(store: OsvStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="names"):
        store.take(zipped(tmp_path / "db.zip", {name: json.dumps(entry()).encode()}), NOW)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(store: OsvStore, tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "db.zip", {"a.json": b" " * 200_000_000})
    assert bomb.stat().st_size < 300_000
    with pytest.raises(InputError, match="unpacks"):
        store.take(bomb, NOW)


def test_a_zip_whose_sizes_lie_is_refused(store: OsvStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_ENTRY_BYTES", 1_000)
    monkeypatch.setattr(source, "MOST_RATIO", 10**9)
    path = zipped(tmp_path / "db.zip", {"a.json": b" " * 100_000})
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<I", 100_000), struct.pack("<I", 10)))
    with pytest.raises(InputError):
        store.take(path, NOW)


@pytest.mark.parametrize("wide", [False, True])
def test_a_zip_of_a_million_names_is_refused_by_its_last_record(store: OsvStore, tmp_path: Path, wide: bool) -> None:
    path = zipped(tmp_path / "db.zip", {"a.json": b"{}"})
    raw = path.read_bytes()
    at = raw.rfind(b"PK\x05\x06")
    if wide:
        record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 10**6, 10**6, 10**8, 0)
        locator = b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)
        end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        path.write_bytes(raw[:at] + record + locator + end)
    else:
        path.write_bytes(raw[: at + 12] + struct.pack("<I", 200 << 20) + raw[at + 16 :])
    with pytest.raises(InputError, match="says that it has"):
        store.take(path, NOW)


def test_more_entries_than_are_read_are_refused(
    store: OsvStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_ENTRIES", 3)
    with pytest.raises(InputError):
        store.take(folder(tmp_path / "db", *(entry(f"MADE-UP-{n}") for n in range(4))), NOW)


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip" * 100, b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_zip_is_refused(store: OsvStore, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "db.zip").write_bytes(data)
    with pytest.raises(InputError):
        store.take(tmp_path / "db.zip", NOW)


def test_links_and_pipes_are_not_followed(store: OsvStore, tmp_path: Path) -> None:
    home = folder(tmp_path / "db", entry())
    (home / "x.json").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="plain file"):
        store.take(home, NOW)
    (home / "x.json").unlink()
    os.mkfifo(home / "x.json")
    with pytest.raises(InputError, match="plain file"):
        store.take(home, NOW)
    with pytest.raises(InputError):
        store.take(tmp_path / "nowhere", NOW)


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": Infinity}', "[" * 100_000])
def test_what_is_no_json_is_refused(store: OsvStore, tmp_path: Path, text: str) -> None:
    home = folder(tmp_path / "db", entry())
    (home / "x.json").write_text(text)
    with pytest.raises(InputError, match="no JSON"):
        store.take(home, NOW)


def row(id_: str = "MADE-UP-1") -> dict[str, Any]:
    return {"id": id_, "severity": "high", "ranges": [["introduced 1.0", "fixed 1.5"]], "versions": []}


@pytest.mark.parametrize(
    ("base", "head", "ids"),
    [
        ("", "1.2", ["MADE-UP-1"]),
        ("0.9", "1.2", ["MADE-UP-1"]),
        ("1.1", "1.2", []),
        ("1.1", "1.5", []),
        ("", "1.5", []),
    ],
)
def test_only_what_the_change_adds_is_told(base: str, head: str, ids: list[str]) -> None:
    name = "evil-made-up"
    old = {"requirements.txt": f"{name}=={base} {HASH}\n"} if base else {}
    found = looked_at(old, {"requirements.txt": f"{name}=={head} {HASH}\n"})
    rows, more = vulnerable(found, {EVIL: [row()]})
    assert ([one["id"] for one in rows], more) == (ids, 0)
