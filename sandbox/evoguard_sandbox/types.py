"""The words of this room: what is asked of a sandbox, and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Outcome = Literal["finished", "wall", "output", "memory", "pids", "crashed", "void"]
Verdict = Literal["pass", "fail", "tamper", "void"]
Assurance = Literal["held-out", "split", "visible-only"]
Files = Mapping[str, tuple[int, bytes]]

DEFAULT_TEST_PATHS = (
    "**/tests/**",
    "**/test/**",
    "**/testing/**",
    "test_*.py",
    "*_test.py",
    "conftest.py",
    "pytest.ini",
    "tox.ini",
    "setup.cfg",
    "pyproject.toml",
)


class SandboxError(Exception):
    """No isolated run can take place here. `code` is stable, `fix` is one thing a person can do about it."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(f"{message} ({fix})" if fix else message)
        self.code = code
        self.message = message
        self.fix = fix


class LayerError(SandboxError):
    """No dependency layer can be made or used. `code` is stable, `fix` is one thing a person can do about it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for a no. `path` is a file of the tree, `term` the test, address or word it is about."""

    code: str
    msg: str
    path: str = ""
    term: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one sandbox. The guest's own limits are polite; memory, pids, wall and bytes are held by the host."""

    wall_s: float = 120.0
    start_s: float = 30.0
    memory_bytes: int = 2 << 30
    pids: int = (
        341  # 21 tasks of the sentry + 2 for each of 128 guest processes + slack: a backstop, never the first to bite
    )
    processes: int = 128
    address_bytes: int = 3 << 29
    open_files: int = 1024
    file_bytes: int = 64 << 20
    cpu_s: int = 240
    tmp_bytes: int = 256 << 20
    output_bytes: int = 4 << 20
    report_bytes: int = 16 << 20
    tree_bytes: int = 192 << 20
    tree_files: int = 50_000
    tests: int = 50_000
    take_files: int = 500
    take_bytes: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Suite:
    """A pytest suite on two trees. Tar bytes, or a mapping path → (git mode, content); links are mode 0o120000.

    `test_paths` say which files are tests or test configuration: of those only the base's copy is used.
    A pattern without a slash holds at any depth. `layer_dirs` are put on sys.path after the runner layer, read-only.
    `plugins` are pytest plugins to load by module name; nothing is loaded by itself.
    """

    base_files: Files | bytes
    candidate_files: Files | bytes
    test_paths: tuple[str, ...] = DEFAULT_TEST_PATHS
    layer_dirs: tuple[Path, ...] = ()
    plugins: tuple[str, ...] = ()
    lock: str = ""
    """The project's requirements lock; a candidate that changes it is told so in `SuiteReport.notes`."""
    held_out: Files = field(default_factory=dict)
    """Tests kept where no agent can read them, by their path in the tree; only one pass or fail comes back."""
    early: bool = False
    """A first answer from the tests that the change reaches is enough when they are red; it can never pass."""
    candidate_layer_dirs: tuple[Path, ...] | None = None
    """The dependencies that the candidate's own lock names; with them the tests run once more, and only add."""


@dataclass(frozen=True, slots=True)
class Job:
    """One command in a sandbox; `files` are laid out in its working folder. `argv[0]` may be "python".

    `take` names files and folders of the working folder that are wanted back. `record_files`: files opened, too.
    """

    argv: tuple[str, ...]
    files: Files | bytes = field(default_factory=dict)
    layer_dirs: tuple[Path, ...] = ()
    take: tuple[str, ...] = ()
    record_files: bool = False
    egress: tuple[tuple[str, int], ...] = ()
    """Hosts and ports that it may reach through a logging proxy (http_proxy, https_proxy); none: no network at all."""


@dataclass(frozen=True, slots=True)
class Egress:
    """One request to the way out, as the proxy on the host saw it. `why`: the reason of a denial or of a cut."""

    sandbox: str
    method: str
    host: str
    port: int
    allowed: bool
    why: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test: passed, failed, error, skipped, xfailed or xpassed. `why` is pytest's one line, bounded."""

    __test__ = False  # pytest would collect a class of this name

    id: str
    outcome: str
    duration_ms: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Connect:
    """An attempt to connect, as gVisor saw it. `family` is inet, inet6, unix or a number."""

    process: str
    family: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the guest did, recorded outside it. `status`: "recorded", "incomplete" or "not recorded"; `reason`: why."""

    status: str
    reason: str = ""
    connects: tuple[Connect, ...] = ()
    programs: tuple[str, ...] = ()
    clones: int = 0
    dropped: int = 0
    files: tuple[str, ...] = ()
    """Files opened, each once, when that was asked for."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a sandbox took, counted by the host: memory at its highest, processor time, tasks; 0 where nobody counts."""

    memory_bytes: int = 0
    cpu_ms: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """Evidence of a suite's runs. `passed` is true only when no rule of `verdict.RULES` has a finding."""

    passed: bool
    outcome: Outcome
    findings: tuple[Finding, ...]
    tests: tuple[TestResult, ...]
    new_tests: tuple[TestResult, ...]
    expected: tuple[str, ...]
    counts: Mapping[str, int]
    behaviour: Behaviour
    runsc: str
    kernel: str
    limits_mode: str
    wall_ms: int
    attempts: int
    output: str
    verdict: Verdict = "void"
    assurance: Assurance = "visible-only"
    split: int = 0
    """How many of `expected` also ran apart from the code; `unproven`: for how many no mutant was seen to fail."""
    unproven: int = 0
    notes: tuple[str, ...] = ()
    """What a person should know of how it was judged; no reason for a no."""
    review: tuple[Finding, ...] = ()
    """What no layer can prove and a person should look at; no reason for a no by itself."""
    unstable: tuple[str, ...] = ()
    """The base's tests that do not come out the same each time; they judge nothing."""
    isolation: str = ""
    """"gvisor", the name of an `unsafe-` runtime, or "" when nothing was proved."""
    usage: Usage = field(default_factory=Usage)
    """The highest of all runs; processor time is their sum."""
    early: bool = False
    """Whether it is a first answer, from the tests that the change reaches; always a no, and never remembered."""
    compared: tuple[int, ...] = (0, 0)
    """How many calls, to how many functions, were made on base and candidate for `review`."""

    @property
    def ran(self) -> bool:
        """Tell whether an isolated run took place at all; when false the gate is shut for want of an answer."""
        return self.outcome != "void"


@dataclass(frozen=True, slots=True)
class JobReport:
    """What one command did. `exit_status` is None when the room did not see it end; negative means a signal."""

    outcome: Outcome
    exit_status: int | None
    stdout: bytes
    stderr: bytes
    findings: tuple[Finding, ...]
    behaviour: Behaviour
    runsc: str
    kernel: str
    limits_mode: str
    wall_ms: int
    artefacts: Files = field(default_factory=dict)
    """What came back of `Job.take`: path → (mode, bytes); bounded, plain files only."""
    omitted: str = ""
    """The first wanted file that did not come back, and why."""
    isolation: str = ""
    usage: Usage = field(default_factory=Usage)
    egress: tuple[Egress, ...] = ()
    """Every request to the way out, allowed or not; empty where there was none."""
