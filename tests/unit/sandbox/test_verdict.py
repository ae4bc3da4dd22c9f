"""The verdict: each rule speaks when it must, and only what breaks no rule passes."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from evoguard_sandbox import trace
from evoguard_sandbox.facts import RunFacts
from evoguard_sandbox.spec import Bind, bundle, env
from evoguard_sandbox.types import Behaviour, Connect, Finding, Limits, TestResult
from evoguard_sandbox.verdict import Evidence, judge


def a_run(*outcomes: str, **more) -> RunFacts:
    tests = tuple(TestResult(f"t.py::t{n}", outcome, 1, "why") for n, outcome in enumerate(outcomes))
    red = any(o in ("failed", "error") for o in outcomes)
    plain = RunFacts("finished", found=len(tests), tests=tests, end_status=int(red), exit_status=int(red))
    return replace(plain, **more)


GREEN = a_run("passed", "skipped", "xfailed")


def codes(candidate: RunFacts, base: RunFacts = GREEN, **more) -> list[str]:
    return sorted({f.code for f in judge(Evidence(base, candidate, **more))})


def test_the_same_green_run_passes():
    assert codes(GREEN) == []


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        (a_run("failed", "skipped", "xfailed"), ["tests.failed"]),
        (a_run("error", "skipped", "xfailed"), ["tests.failed"]),
        (a_run("passed", "passed", "xpassed"), []),
        (a_run("skipped", "skipped", "xfailed"), ["tests.none_ran", "tests.unexpected_skip"]),
        (a_run("passed", "xfailed", "xfailed"), ["tests.unexpected_skip"]),
        (a_run("passed", "skipped"), ["tests.missing"]),
        (a_run("passed", "skipped", "xfailed", "passed"), ["tests.extra"]),
        (a_run(end_status=5, exit_status=5), ["tests.missing", "tests.none_ran"]),
        (replace(GREEN, end_status=None), ["tests.ended_early"]),
        (replace(GREEN, exit_status=-9), ["tests.ended_early"]),
        (replace(GREEN, broke="SystemExit: 0", end_status=3, exit_status=3), ["tests.ended_early"]),
        (replace(GREEN, end_status=2, exit_status=2), ["tests.failed"]),
        (replace(GREEN, forged="x"), ["tests.forged_frames"]),
        (replace(GREEN, patched="x"), ["tests.runner_patched"]),
        (replace(GREEN, uncollected=(("t.py", "SyntaxError"),)), ["tests.failed"]),
        (replace(GREEN, found=60_000), ["sandbox.limit_tests"]),
        (replace(GREEN, outcome="wall"), ["sandbox.limit_wall"]),
        (replace(GREEN, outcome="memory"), ["sandbox.limit_memory"]),
        (replace(GREEN, outcome="pids"), ["sandbox.limit_pids"]),
        (replace(GREEN, outcome="output"), ["sandbox.limit_output"]),
        (replace(GREEN, outcome="crashed"), ["sandbox.crashed"]),
        (replace(GREEN, outcome="void"), ["sandbox.void"]),
        (RunFacts(), ["sandbox.void"]),
    ],
)
def test_a_candidate_gets_the_findings_it_earned(candidate, says):
    assert codes(candidate) == says


@pytest.mark.parametrize(
    "base",
    [a_run("failed"), a_run(), a_run("skipped"), replace(GREEN, end_status=None), replace(GREEN, exit_status=-9)],
)
def test_a_base_that_is_not_green_proves_nothing(base):
    assert "tests.base_not_green" in codes(base, base)


def test_new_tests_can_only_add_failures():
    assert codes(GREEN, new=a_run("passed")) == []
    assert codes(GREEN, new=a_run("failed")) == ["tests.failed"]
    assert codes(a_run("failed", "skipped", "xfailed"), new=a_run("passed")) == ["tests.failed"]


def test_changes_are_all_named_up_to_a_bound():
    many = tuple(Finding("tests.config_changed", f"{n}") for n in range(50))
    assert len(judge(Evidence(GREEN, GREEN, changes=many))) == 21


def test_an_early_end_says_how_many_of_how_many_and_how():
    cut = replace(a_run("passed"), end_status=None, exit_status=0)
    (finding,) = judge(Evidence(GREEN, cut))
    assert "exit status 0, after 1 of 3 tests" in finding.msg


def heard(*connects: Connect) -> RunFacts:
    return replace(GREEN, behaviour=Behaviour("recorded", connects=connects))


OUT = Connect("python3", "inet", "192.0.2.1", 443)


@pytest.mark.parametrize(
    ("connect", "named"),
    [
        (OUT, True),
        (Connect("sh", "inet6", "2001:db8::1", 80), True),
        (Connect("sh", "inet", "127.0.0.1", 53), True),
        (Connect("sh", "inet", "127.0.0.1", 8080), False),
        (Connect("sh", "inet6", "::1", 8080), False),
        (Connect("sh", "unix", "/run/x", 0), False),
    ],
)
def test_a_way_out_of_the_sandbox_is_named_and_loopback_is_not(connect, named):
    assert (codes(heard(connect)) == ["sandbox.network_attempt"]) is named


def test_an_attempt_that_the_base_makes_too_is_not_the_candidates():
    assert codes(heard(OUT), heard(OUT)) == []


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


@pytest.mark.parametrize(
    ("address", "connect"),
    [
        (struct.pack("<H", 2) + struct.pack(">H", 443) + bytes([192, 0, 2, 1]) + bytes(8), OUT),
        (
            struct.pack("<H", 10) + bytes([0, 80, 0, 0, 0, 0]) + bytes(15) + b"\1",
            Connect("python3", "inet6", "::1", 80),
        ),
        (struct.pack("<H", 1) + b"/run/x\0junk", Connect("python3", "unix", "/run/x", 0)),
        (struct.pack("<H", 1) + b"\0name", Connect("python3", "unix", "\\x00name", 0)),
        (struct.pack("<H", 16) + b"\1\2", Connect("python3", "16", "0102", 0)),
        (b"\2", None),
    ],
)
def test_a_connect_message_is_decoded_by_hand(address, connect):
    assert trace.connect_of(field(1, field(9, b"python3")) + field(6, address)) == connect


@pytest.mark.parametrize("bad", [b"\x0a\xff", b"\x0a", b"\x0b", b"\xff" * 12, b"\x09\1"])
def test_what_is_no_message_is_refused(bad):
    with pytest.raises(ValueError, match=r"."):
        trace.fields(bad)


def test_the_bundle_gives_the_guest_no_right_and_no_writable_place_of_the_host(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOGUARD_PLANTED", "secret")
    binds = [Bind(tmp_path, "/opt/layer")]
    spec = bundle(tmp_path, binds, python="/opt/python/bin/python3", hostname="box", cgroup="/x", limits=Limits())
    assert spec["root"]["readonly"] is True
    assert spec["process"]["noNewPrivileges"] is True
    assert set(spec["process"]["capabilities"]["bounding"]) == {"CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"}
    bound = [m for m in spec["mounts"] if m["type"] == "bind"]
    assert all({"ro", "nosuid", "nodev"} <= set(m["options"]) for m in bound)
    assert "secret" not in str(spec)
    assert {"type": "network"} in spec["linux"]["namespaces"]
    assert not any("user" in n.values() for n in spec["linux"]["namespaces"])


def test_the_guests_environment_is_written_here_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("PATH", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert "/somewhere" not in str(env([]))


def test_a_project_that_is_the_runner_itself_is_a_finding_and_one_that_it_borrows_is_tested_from_its_tree():
    from evoguard_sandbox import changes
    from evoguard_sandbox.trees import read_tree
    from evoguard_sandbox.types import Limits

    tree = read_tree({"src/iniconfig/__init__.py": (0o100644, b""), "pluggy.py": (0o100644, b"")}, Limits())
    assert changes.own_names(tree) == ["iniconfig"]
    told = changes.findings(tree, tree, lambda _: False)
    assert [(f.code, f.term) for f in told] == [("tests.is_the_runner", "pluggy")]
