"""The contract of every verb: where data goes, what an exit code means, what help teaches, what is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from evoguard import errors
from evoguard.adapters.sqlite.projections import OUTCOME
from evoguard.cli import app as application
from evoguard.cli import exit_codes, failures, main
from evoguard.cli.text import shown
from unit.cli.installed import Installed

HEAVY = (
    "rich",
    "asyncio",
    "sqlite3",
    "cryptography",
    "langgraph",
    "wasmtime",
    "starlette",
    "uvicorn",
    "evoguard.settings",
)


def verbs() -> dict[str, typer.core.TyperCommand]:
    root = typer.main.get_command(application.app)
    found = {}
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {k}": v for k, v in inner.items()} if inner else {name: command}
    return found


def test_every_verb_of_the_issue_is_there():
    wanted = "init person doctor submit withdraw status list show watch approve reject kill lift verify audit policy"
    words = {name.split()[0] for name in verbs()}
    assert {*wanted.split(), "serve", "worker", "bench", "demo"} <= words


@pytest.mark.parametrize("name", sorted(verbs()))
def test_help_of_every_verb_says_what_it_promises_and_ends_with_an_example(name, capsys):
    assert main([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert verbs()[name].help
    assert f"evoguard {name}" in said.split("Example:")[1] or "evoguard" in said.split("Example:")[1]
    assert "--json" in said
    assert "--state DIR" in said


def test_help_lists_the_verbs_and_every_exit_code(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(str(code) in said and meaning in said for code, meaning in exit_codes.TABLE)


def test_help_loads_nothing_heavy():
    code = "import sys; from evoguard.cli import main; main(['--help']); "
    code += f"print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_takes_at_most_400_ms():
    took = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "evoguard", "--help"], capture_output=True, check=True)
        took.append(time.monotonic() - began)
    assert min(took) <= 0.4


def test_every_end_of_a_change_has_an_exit_code():
    ends = {outcome: exit_codes.of_standing(outcome, outcome) for outcome in OUTCOME.values()}
    assert ends == {
        "known-good": 0, "refused": 3, "rejected": 3, "withdrawn": 3, "superseded": 3, "reverted": 6, "killed": 7,
    }  # fmt: skip
    assert exit_codes.of_standing("waiting for approval", "") == 5
    assert exit_codes.of_standing("rolling out", "") == 0


@pytest.mark.parametrize(
    ("err", "code"),
    [
        (errors.ConfigError("x"), 1),
        (errors.IntegrityError("x"), 1),
        (errors.InputError("x"), 2),
        (errors.InputError("x", code="author.held"), 3),
        (errors.AuthError("x"), 4),
        (errors.HaltedError("x"), 7),
        (errors.UnavailableError("git", "x"), 8),
        (errors.FencedError("x"), 8),
        (RuntimeError("x"), 1),
        (OSError(28, "No space left on device"), 1),
    ],
)
def test_every_error_has_an_exit_code_and_one_line(err, code, capsys):
    assert failures.report(err, as_json=False) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


def test_an_error_under_json_is_the_one_object_on_stdout(installed: Installed):
    answer = installed.json("show", "ch-ffffffffffff")
    assert answer.code == 2
    assert set(answer.error) == {"code", "message", "fix", "retryable"}
    assert answer.error["code"] == "change.unknown"
    assert answer.err == ""


def test_json_and_state_are_taken_before_and_after_the_verb(installed: Installed, capsys):
    state = str(installed.settings.state)
    capsys.readouterr()
    assert main(["--json", "status", "--state", state]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == state
    assert main(["--state", state, "person", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["people"]) == 2


@pytest.mark.parametrize(
    "words", [["nosuch"], ["watch"], ["list", "--nosuch"], ["watch", "x", "--timeout", "soon"], ["person"]]
)
def test_a_mistake_on_the_command_line_is_one_line_with_the_help_to_read(words, capsys):
    assert main([*words, "--json"]) == 2
    doc = json.loads(capsys.readouterr().out)["error"]
    assert doc["code"] == "usage"
    assert doc["fix"].endswith("--help")


def test_a_traceback_of_the_unknown_is_shown_only_when_asked_for(capsys, monkeypatch):
    monkeypatch.delenv("EVOGUARD_DEBUG", raising=False)
    failures.report(ValueError("odd"), as_json=False)
    assert "EVOGUARD_DEBUG=1" in (quiet := capsys.readouterr().err)
    assert "Traceback" not in quiet
    monkeypatch.setenv("EVOGUARD_DEBUG", "1")
    try:
        raise ValueError("odd")
    except ValueError as err:
        failures.report(err, as_json=False)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\rc", "a\\x0ab\\x0dc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\udcff"),
        ("[bold]größer[/bold]", "[bold]größer[/bold]"),
    ],
)
def test_untrusted_text_is_shown_escaped(text, safe):
    assert shown(text) == safe


def test_a_reader_that_goes_away_ends_the_command_quietly(installed: Installed):
    command = f"{sys.executable} -m evoguard --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in (0, exit_codes.INTERRUPTED)
    assert done.stderr == ""


def test_the_demo_says_where_it_is_when_there_is_no_checkout(installed: Installed, monkeypatch, tmp_path: Path):
    from evoguard.cli import machine

    monkeypatch.setattr(machine, "checkout", lambda: tmp_path)
    answer = installed.json("demo")
    assert (answer.code, answer.error["code"]) == (1, "demo.missing")


def test_the_version_is_the_packages(capsys):
    from evoguard import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"evoguard {__version__}"


def test_help_of_bench_says_what_each_one_is(capsys):
    from evoguard.bench import NAMES

    assert main(["bench", "--help"]) == 0
    said = capsys.readouterr().out
    for name in NAMES:
        assert f"evoguard bench {name} " in said
