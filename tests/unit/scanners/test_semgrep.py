"""What is laid out for the engine, and which of its answers are a scan."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evoguard.adapters.scanners import engine
from evoguard.adapters.scanners.semgrep import MOST_FILES, Semgrep, language_of
from evoguard.domain.canonical import digest_of
from evoguard.ports.forge import Blob
from evoguard_sandbox import Job, JobReport, Limits
from evoguard_sandbox.types import Behaviour

RULES = json.dumps({"rules": [{"id": "python.eval", "languages": ["python"]}]}).encode()
LAYER = Path("/nowhere")


@dataclass
class Engine:
    """Stands for the sandbox: finds what a test says, and every made-up fault unless it is told to be blind."""

    finds: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    skips: tuple[str, ...] = ()
    blind: bool = False
    status: int | None = 0
    outcome: str = "finished"
    says: bytes | None = None
    jobs: list[Job] = field(default_factory=list)

    async def __call__(self, job: Job, limits: Limits) -> JobReport:
        self.jobs.append(job)
        rules = json.loads(job.files["rules.json"][1])["rules"]
        places = [path for path in job.files if path.startswith(("head/", "base/")) and path not in self.skips]
        faults = [path for path in places if path.startswith("head/evoguard_")]
        spoken = [rule["id"] for rule in rules if rule["id"].startswith("evoguard.canary")]
        found = [] if self.blind else [result(path, rule) for path, rule in zip(faults, spoken, strict=True)]
        doc = {"results": [*found, *self.finds], "errors": self.errors, "paths": {"scanned": places}}
        out = json.dumps(doc).encode() if self.says is None else self.says
        return JobReport(
            self.outcome, self.status, out, b"why", (), Behaviour("recorded", ""), "runsc", "", "", 7,
            isolation="gvisor",
        )  # fmt: skip


@pytest.fixture(autouse=True)
def _believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "verify", lambda _: digest_of(b""))


def result(path: str, rule: str = "python.eval", line: int = 1, severity: str = "WARNING") -> dict[str, Any]:
    extra = {"message": "data is run as code", "severity": severity}
    return {"path": path, "check_id": rule, "start": {"line": line}, "end": {"line": line}, "extra": extra}


def blob(text: str = "eval(x)\n", mode: str = "100644") -> Blob:
    return Blob(mode, text.encode())


async def scan(seen: Engine, head: dict[str, Blob], base: dict[str, Blob] | None = None, *pairs: tuple[str, str]):
    changed = list(pairs) or [("" if path not in (base or {}) else path, path) for path in head]
    return await Semgrep(seen, LAYER, RULES).scan(base or {}, head, changed)


async def test_files_go_under_neutral_names_with_nothing_that_could_switch_a_look_off():
    odd = {"a/.semgrepignore.py": blob(), "tests/--config=x.py": blob(), ".github/w.yml": blob("on: push\n"),
           "x/\u202egnp.py": blob(), "plain.py": blob()}  # fmt: skip
    seen = Engine()
    assert (await scan(seen, odd)).status == "complete"
    (job,) = seen.jobs
    places = [path for path in job.files if path.startswith("head/") and "evoguard_" not in path]
    assert places == ["head/0/file.py", "head/1/file.py", "head/2/file.yml", "head/3/file.py", "head/4/file.py"]
    assert {"--disable-nosem", "--x-ignore-semgrepignore-files", "--max-target-bytes=0"} < {*job.argv}
    assert job.egress == ()


async def test_only_what_the_base_does_not_have_is_new():
    seen = Engine([result("head/0/file.py"), result("head/0/file.py", line=2), result("base/0/file.py")])
    scanned = await scan(seen, {"a.py": blob("eval(x)\neval(y)\n")}, {"a.py": blob()})
    assert [(hit.path, hit.line, hit.severity, hit.text) for hit in scanned.new] == [("a.py", 2, "warning", "eval(y)")]
    assert (scanned.asked, scanned.read, scanned.known, scanned.isolation) == (1, 1, 1, "gvisor")


async def test_a_line_is_what_the_engine_calls_one(tmp_path):
    """A lone carriage return ends no line for it; else a new fault would be compared by the text of an old one."""
    old, new = "x = 1\nexec(OLD)\n", "#\rexec(OLD)\nexec(EVIL)\n"
    seen = Engine([result("head/0/file.py", line=2), result("base/0/file.py", line=2)])
    assert [hit.text for hit in (await scan(seen, {"a.py": blob(new)}, {"a.py": blob(old)})).new] == ["exec(EVIL)"]


async def test_a_renamed_file_is_compared_with_what_it_was():
    seen = Engine([result("head/0/file.py"), result("base/0/file.py")])
    assert (await scan(seen, {"new.py": blob()}, {"old.py": blob()}, ("old.py", "new.py"))).new == ()


async def test_a_severity_that_is_none_is_the_worst():
    scanned = await scan(Engine([result("head/0/file.py", severity="EXPERIMENT")]), {"a.py": blob()})
    assert [hit.severity for hit in scanned.new] == ["error"]


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Engine(blind=True), "the engine missed what was put there for it"),
        (Engine(status=2), "the engine finished, exit status 2: why"),
        (Engine(status=None, outcome="killed"), "the engine killed, exit status None: why"),
        (Engine(says=b"{}"), "the engine finished, exit status 0: why"),
        (Engine(says=b'{"results": [], "errors": [], "paths": {}}'), "the engine missed what was put there for it"),
    ],
)
async def test_what_is_no_whole_scan_says_nothing(seen, why):
    scanned = await scan(seen, {"a.py": blob(), "b.py": blob()})
    assert (scanned.status, scanned.read, scanned.new, scanned.why) == ("incomplete", 0, (), why)
    assert scanned.unread == ("a.py", "b.py")


async def test_one_fault_of_two_languages_that_is_missed_is_enough():
    class Half(Engine):
        async def __call__(self, job: Job, limits: Limits) -> JobReport:
            report = await super().__call__(job, limits)
            doc = json.loads(report.stdout)
            doc["results"].pop()
            self.says = json.dumps(doc).encode()
            return await super().__call__(job, limits)

    assert (await scan(Half(), {"a.py": blob(), "w.yml": blob("on: push\n")})).status == "incomplete"


@pytest.mark.parametrize(
    "seen",
    [
        Engine(skips=("head/1/file.py",)),
        Engine(errors=[{"path": "head/1/file.py", "type": "Timeout"}]),
        Engine(errors=[{"type": ["PartialParsing", []], "spans": [{"file": "head/1/file.py"}]}]),
    ],
)
async def test_a_file_that_was_not_read_whole_is_named(seen):
    scanned = await scan(seen, {"a.py": blob(), "b.py": blob()})
    assert (scanned.status, scanned.asked, scanned.read, scanned.unread) == ("complete", 2, 1, ("b.py",))


async def test_what_no_rule_can_read_is_not_asked_for_and_nothing_is_started():
    seen = Engine()
    others = {"a.txt": blob(), "b.rb": blob(), "link.py": blob("a.txt", "120000"), "README": blob("text")}
    scanned = await scan(seen, others)
    assert (scanned.status, scanned.asked, seen.jobs) == ("complete", 0, [])


async def test_too_much_to_read_is_said_and_not_read_in_part():
    many = {f"{n}.py": blob() for n in range(MOST_FILES + 1)}
    seen = Engine()
    scanned = await scan(seen, many)
    assert (scanned.status, seen.jobs, scanned.unread[-1]) == ("incomplete", [], f"and {MOST_FILES + 1 - 50} more")
    assert (await scan(seen, {"a.py": blob("x" * (25 << 20))})).status == "incomplete"


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a.py", "", "python"), ("A.PY", "", "python"), ("a.tsx", "", "typescript"), ("a.yaml", "", "yaml"),
        ("run", "#!/usr/bin/env python3\n", "python"), ("run", "#!/bin/sh\n", "bash"),
        ("run.v2", "#!/usr/bin/env python3\n", "python"), ("run", "#!/usr/bin/env -S uv run --script\n", "python"),
        ("run", "#!/usr/lib/python3/../../../bin/bash\n", "bash"), ("run", "#!/usr/bin/env A=python bash\n", "bash"),
        (".envrc", "", "bash"), ("site.pth", "", "python"),
        ("run", "#!/usr/bin/perl\n", None), ("run", "text", None), ("a.txt", "#!/bin/sh\n", "bash"),
        ("a.json", "", None),
    ],
)  # fmt: skip
def test_the_language_of_a_file(path, text, language):
    assert language_of(path, blob(text)) == language
    assert language_of(path, blob(text, "120000")) is None
    assert language_of(path, None) is None
