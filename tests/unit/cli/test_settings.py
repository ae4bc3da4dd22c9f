"""The settings file: every name has a range with its unit, and whatever is outside is one clear error."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from evoguard.errors import ConfigError
from evoguard.ports import Pace
from evoguard.settings import FILE, MAX_BYTES, PACE, RANGES, Settings, default
from unit.cli.installed import Installed


def loaded(folder: Path, raw: bytes | str) -> Settings:
    (folder / FILE).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return Settings.load(folder, {"HOME": "/nonexistent"})


def refused(folder: Path, raw: bytes | str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, raw)
    assert str(folder / FILE) in caught.value.fix
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    return caught.value


def test_every_setting_has_a_range_and_every_range_a_setting():
    own = {f.name for f in fields(Settings)} - {"state", "pace"}
    assert set(RANGES) == own | {f"{PACE}{f.name}" for f in fields(Pace)}


@pytest.mark.parametrize("name", [name for name in RANGES if name not in ("runsc", "layer")])
def test_every_default_lies_within_its_range(name: str):
    assert RANGES[name].holds(default(name))


def line(name: str, value: str) -> str:
    return f"[pace]\n{name.removeprefix(PACE)} = {value}\n" if name.startswith(PACE) else f"{name} = {value}\n"


NUMBERS = [name for name, allowed in RANGES.items() if allowed.kind != "text"]
WRONG = ["-1", "true", "nan", "inf", "-inf", '"5"', "[5]", "2026-01-01", "99999999999", "0x" + "f" * 9_000]


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_outside_its_range_names_key_range_unit_and_mend(tmp_path: Path, name: str, value: str):
    err = refused(tmp_path, line(name, value))
    assert err.code == "settings.invalid"
    assert f"{name} is " in err.message
    assert f"from {RANGES[name].low} to {RANGES[name].high:,} {RANGES[name].unit}" in err.message
    assert f"set {name} to" in err.fix


@pytest.mark.parametrize("name", ["pace.lease_s", "pace.tick_s", "flags_port", "sandboxes", "suite_wall_s"])
def test_nothing_that_drives_the_guard_may_be_zero(tmp_path: Path, name: str):
    assert f"{name} is 0" in refused(tmp_path, line(name, "0")).message


@pytest.mark.parametrize("name", [name for name in NUMBERS if RANGES[name].kind == "whole"])
def test_a_whole_number_is_no_fraction(tmp_path: Path, name: str):
    refused(tmp_path, line(name, "5.0"))


@pytest.mark.parametrize("value", ["5", "true", '"a\\nb"', '"' + "x" * 5_000 + '"'])
@pytest.mark.parametrize("name", ["flags_host", "runsc", "layer"])
def test_a_text_that_is_none_names_its_key(tmp_path: Path, name: str, value: str):
    assert f"{name} is " in refused(tmp_path, line(name, value)).message


@pytest.mark.parametrize("raw", ["nosuch = 1\n", "[pace]\nnosuch = 1\n", "pace = 1\n", "state = '/'\n", "[other]\n"])
def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path, raw: str):
    err = refused(tmp_path, raw)
    assert "is unknown" in err.message
    assert "pace.lease_s" in err.fix


def test_a_look_that_comes_later_than_the_lease_is_refused(tmp_path: Path):
    assert "pace.tick_s (20 s)" in refused(tmp_path, "[pace]\nlease_s = 30\ntick_s = 20\n").message


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"flags_port = 4\xff\n", "byte 15 is not UTF-8"),
        (b"#" * (10 * 1024 * 1024), f"larger than {MAX_BYTES >> 10} KiB"),
        (b"x = [", "not TOML"),
        (b"x = " + b"[" * 60_000, "not TOML"),
        (b"x = " + b"9" * 9_000, "not TOML"),
        (b"\0", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, raw: bytes, why: str):
    err = refused(tmp_path, raw)
    assert (err.code, why in err.message) == ("settings.unreadable", True), err.message


def test_a_file_that_is_none_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(ConfigError, match="not a file"):
        Settings.load(tmp_path, {})


def test_what_lies_within_is_taken(tmp_path: Path):
    made = loaded(tmp_path, "flags_port = 4300\nflags_host = '::1'\n[pace]\nlease_s = 20\ntick_s = 1\ndwell_s = 0\n")
    assert (made.pace.lease_s, made.pace.tick_s, made.pace.dwell_s) == (20, 1, 0)
    assert made.flags_url == "http://[::1]:4300"


def test_a_kill_goes_on_with_the_defaults(installed: Installed):
    (installed.settings.state / FILE).write_text("[pace]\nlease_s = 0\n")
    answer = installed.json("kill", "all", "--reason", "pager")
    assert answer.doc["latched"] is True
    assert "going on with the defaults" in answer.err
