"""OPA as a process: bounded in time and memory, blind to the caller's environment, and each failure one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.authoring import opa as running
from evoguard.authoring.folder import Sources
from evoguard.authoring.opa import Opa, at_work
from evoguard.errors import ConfigError, InputError, UnavailableError

SOURCES = Sources(Path("."), bundle.sources())


def asked(tmp_path: Path, script: str) -> Opa:
    binary = tmp_path / "opa"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    return Opa(binary, tmp_path, SOURCES)


def test_what_does_not_end_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "TIMEOUT_S", 0.2)
    with pytest.raises(UnavailableError, match="did not end"):
        asked(tmp_path, "exec sleep 60").run("eval")


def test_more_memory_than_it_gets_is_said_so(tmp_path: Path):
    opa = asked(tmp_path, 'echo "fatal error: runtime: out of memory" >&2; exit 2')
    with pytest.raises(InputError) as caught:
        opa.run("eval")
    assert (caught.value.code, bool(caught.value.fix)) == ("policy.too_much", True)
    assert str(running.MEMORY_BYTES >> 10) in asked(tmp_path, "sleep 0.2; ulimit -v").run("version").decode()


def test_the_callers_environment_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET_OF_MINE", "x")
    seen = asked(tmp_path, "exec /usr/bin/env").run("version").decode()
    assert "SECRET_OF_MINE" not in seen
    assert f"HOME={tmp_path}" in seen


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        ("echo hello", UnavailableError, "did not print JSON"),
        ("echo 'odd words' >&2; exit 1", InputError, "odd words"),
        ("echo 'a/b.rego:7: rego_parse_error: odd' >&2; exit 1", InputError, "a/b.rego:7: odd"),
    ],
)
def test_another_answer_is_one_clear_error(tmp_path: Path, script: str, error: type[Exception], says: str):
    with pytest.raises(error, match=says):
        asked(tmp_path, script).json("eval")


def test_what_is_no_program_is_one_clear_error(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        Opa(tmp_path / "none", tmp_path, SOURCES).run("version")
    assert "evoguard tools get opa" in caught.value.fix


def test_it_works_on_a_copy_that_is_gone_afterwards():
    with at_work(Path("opa"), SOURCES) as opa:
        assert (opa.home / "author" / "held.rego").read_text() == SOURCES.texts["author/held.rego"]
    assert not opa.home.exists()
