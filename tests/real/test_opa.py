"""The real OPA: the shipped bundle is its work, its own checks pass, and it judges as the compiled rules do."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from contract.policies_suite import FILE, VOTE, a_question, fields, without
from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies, decision_from, question_bytes
from evoguard.authoring import folder, lint
from evoguard.authoring.builder import Builder
from evoguard.domain.verdict import PolicyStage
from evoguard.errors import InputError

pytestmark = pytest.mark.needs_opa

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
OPA = Path(os.environ.get("EVOGUARD_OPA", "opa"))
REGO = sorted(path.relative_to(POLICIES).as_posix() for path in POLICIES.rglob("*.rego"))
CASES = 600
NAMES = [
    "lending/scoring.py", "CODEOWNERS", "a/codeowners", "policies", "Policies/x", "policiesx/y", ".github",
    "x/.GITHUB/y", ".evoguard.toml", "pol\u0131cies/a", "pol\u0131cie\u017f/b", "ǅ/é", "İ", "ß/ẞ", "a b", "a/../b",
    "a\\b", "/a", "a//b", "😀", "", "tool", "run.sh", "x{y}", "[z]", "*",
]  # fmt: skip
GLOBS = [
    "**",
    "*",
    "**/*.py",
    "lending/**",
    "{a,b}/*",
    "[a-c]*",
    "[!a]*",
    "?",
    "**/x/**",
    "\\*",
    "[",
    "{",
    "",
    "*.SH",
    "é*",
]


def opa(*args: str, cwd: Path = POLICIES) -> subprocess.CompletedProcess[str]:
    return subprocess.run([OPA, *args], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_bundle_is_rebuilt_byte_for_byte() -> None:
    built = Builder(OPA, POLICIES).files()
    home = Path(bundle.__file__).parent
    assert sorted(built) == sorted(path.name for path in home.iterdir() if path.suffix in {".wasm", ".json"})
    assert [name for name, raw in built.items() if raw != (home / name).read_bytes()] == []


def test_the_bundle_does_not_depend_on_the_folder_it_was_built_in(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, tmp_path / "elsewhere")
    assert Builder(OPA, tmp_path / "elsewhere").files() == Builder(OPA, POLICIES).files()


def test_opas_strict_check_passes_with_schema_and_capabilities() -> None:
    done = opa("check", "--strict", "--schema", "schema/input.json", "--capabilities", "capabilities.json", *REGO)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "body",
    [
        "input.chnage.id",
        "input.change.idd",
        "http.send({})",
        "time.now_ns()",
        "rand.intn(input.v, 9)",
    ],
)
def test_a_typo_or_a_builtin_that_is_not_allowed_is_refused(tmp_path: Path, body: str) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    rule = folder / "author" / "held.rego"
    rule.write_text(rule.read_text() + f"\nmistake if {body}\n")
    with pytest.raises(InputError, match=r"author/held\.rego:12: "):
        Builder(OPA, folder).files()


def test_every_source_is_formatted() -> None:
    assert opa("fmt", "--list", *REGO).stdout == ""


def test_opas_own_run_of_the_rule_tests_passes_and_leaves_none_out() -> None:
    done = opa("test", "--timeout", "60s", "--format", "json", *REGO, "data.json")
    results = json.loads(done.stdout)
    assert [one["name"] for one in results if one.get("fail") or one.get("error")] == []
    ran = {f"{one['package'].removeprefix('data.').replace('.', '/')}/{one['name']}" for one in results}
    assert ran == set(bundle.load().manifest.tests)


def test_every_line_of_the_rules_is_covered_by_a_test() -> None:
    report = json.loads(opa("test", "--timeout", "60s", "--coverage", *REGO, "data.json").stdout)
    rules = {path: about for path, about in report["files"].items() if not path.endswith("_test.rego")}
    assert {path: about["not_covered"] for path, about in rules.items() if about.get("not_covered")} == {}


def test_a_folder_that_lost_a_rule_does_not_build_and_never_allows(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    (folder / "author" / "held.rego").unlink()
    with pytest.raises(InputError, match=r"data\.json"):
        Builder(OPA, folder).files()
    (decision,) = evaluate(folder, [a_question()])
    assert (decision["allow"], decision["deny"]) == (False, [])


async def test_opa_and_the_compiled_rules_agree_on_generated_questions() -> None:
    policies = OpaWasmPolicies()
    questions = generated(CASES) + [without(way) for way in fields()]
    differ, allowed = [], 0
    for question, answer in zip(questions, evaluate(POLICIES, questions), strict=True):
        theirs = decision_from(json.dumps([{"result": answer}]).encode(), rules=policies.manifest.rules)
        ours = await policies.decide(stage_of(question), question)
        allowed += ours.allow
        if ours != theirs:
            differ.append((question, ours, theirs))
    assert differ == []
    assert CASES // 20 < allowed < CASES  # both answers were compared, often


async def test_opa_and_the_compiled_rules_read_globs_alike() -> None:
    dice = random.Random(20261125)  # noqa: S311  (cases, not secrets)
    paths = ["a", "b", ".a", "a.b", "ab", "abc", "a/b", "c/a", "a/b/c", "a-b", "a+b", "A/B"]
    files = [{**FILE, "path": path} for path in paths]
    globs = ["".join(dice.choices("aab//**?{},.+-^$()|[]!\\", k=dice.randrange(1, 8))) for _ in range(400)]
    questions = [a_question(files=files, tighten={"guard": [glob]}) for glob in globs]
    policies = OpaWasmPolicies()
    for question, answer in zip(questions, evaluate(POLICIES, questions), strict=True):
        theirs = decision_from(json.dumps([{"result": answer}]).encode(), rules=policies.manifest.rules)
        assert await policies.decide("review", question) == theirs, question["tighten"]


def stage_of(question: dict[str, Any]) -> PolicyStage:
    return "review" if question.get("stage") == "review" else "admit"


def evaluate(folder: Path, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return OPA's decision on each question, from one process."""
    asked: dict[str, Any] = {"questions": [[stage_of(question), question] for question in questions]}
    expression = "[answer | some pair in input.questions; answer := data.judge.answer(pair[0], pair[1])]"
    judge = """package judge
answer("review", question) := it if { it := data.evoguard.review with input as question }
answer("admit", question) := it if { it := data.evoguard.admit with input as question }
"""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "judge.rego").write_text(judge)
        rules = [flag for path in sorted(folder.rglob("*.rego")) for flag in ("-d", str(path))]
        done = subprocess.run(
            [OPA, "eval", "-f", "json", "-I", *rules, "-d", str(folder / "data.json"), "-d", place, expression],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
        )
    answers: list[dict[str, Any]] = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    return answers


def generated(count: int) -> list[dict[str, Any]]:
    """Return questions that differ from allowed ones in up to four places, the same ones at every run."""
    dice = random.Random(20261124)  # noqa: S311  (cases, not secrets)
    return [json.loads(question_bytes(_question(dice))) for _ in range(count)]


def _question(dice: random.Random) -> dict[str, Any]:
    question = a_question(dice.choice(["review", "admit"]))
    for change in dice.sample([_files, _votes, _numbers, _author, _tighten, _evidence, _rest], dice.randrange(4)):
        change(question, dice)
    if dice.random() < 0.3:
        _broken(question, dice)
    return question


def _files(question: dict[str, Any], dice: random.Random) -> None:
    kinds = {
        "path": NAMES, "old_path": ["", *NAMES], "status": ["added", "modified", "deleted", "renamed", "typechange"],
        "binary": [False, False, True], "mode_old": ["", "100644", "100755"], "added": [0, 3, 1000, 3001],
        "mode_new": ["100644", "100644", "100755", "120000", "160000", "104755", ""],
    }  # fmt: skip
    question["files"] = [
        {**FILE, **{key: dice.choice(kinds[key]) for key in dice.sample(sorted(kinds), dice.randrange(4))}}
        for _ in range(dice.choice([0, 1, 2, 9, 10, 101]))
    ]


def _votes(question: dict[str, Any], dice: random.Random) -> None:
    kinds = {
        "by": ["ada", "Ada", "bob", "coder", "CODER", "\u0130", "\u0131", "reviewer"], "kind": ["person", "agent"],
        "digest": ["sha256:question", "sha256:other"], "verdict": ["approve", "approve", "reject"],
        "model": ["", "maker/large-1", "maker/other-1"],
        "expires": [0, 9, 10, 1_790_000_100, 1_790_000_101], "at": [9, 1_790_000_100, 1_790_000_101],
    }  # fmt: skip
    question["approvals"] = [
        {
            **VOTE,
            "by": f"p{n}",
            **{key: dice.choice(kinds[key]) for key in dice.sample(sorted(kinds), dice.randrange(3))},
        }
        for n in range(dice.randrange(12))
    ]


def _numbers(question: dict[str, Any], dice: random.Random) -> None:
    key = dice.choice(["files", "added", "deleted", "omitted"])
    question["totals"][key] = dice.choice([0, 1, 9, 10, 20, 99, 100, 101, 2999, 3000, 3001, 2**53 - 1, -1])
    question["component"]["quorum"] = dice.choice([0, 1, 2, 9, 10, 100])


def _author(question: dict[str, Any], dice: random.Random) -> None:
    question["author"] = {
        "id": dice.choice(["ada", "ADA", "coder", "p1", ""]), "kind": dice.choice(["person", "agent", "robot"]),
        "held": dice.choice([False, False, True, "no"]), "model": dice.choice(["", "maker/large-1", "MAKER/large-1"]),
        "sponsors": dice.sample(["ada", "dora", "ADA"], dice.randrange(3)),
    }  # fmt: skip


def _tighten(question: dict[str, Any], dice: random.Random) -> None:
    number = [0, 1, 9, 10, 100, 1000, 5000]
    question["tighten"] = {
        "guard": dice.sample(GLOBS, dice.randrange(3)), "max_files": dice.choice(number),
        "max_lines": dice.choice(number), "quorum": dice.choice([0, 1, 2, 9, 10]), "seats": dice.choice([0, 0, 1, 2]),
        "assurance": dice.choice(["", "", "split", "held-out"]),
        "split_percent": dice.choice([0, 0, 1, 50, 75, 100, 101]),
    }  # fmt: skip


def _evidence(question: dict[str, Any], dice: random.Random) -> None:
    question["evidence"] |= {
        "passed": dice.choice([True, True, False, 1]), "isolation": dice.choice(["gvisor", "gvisor", "docker", ""]),
        "assurance": dice.choice(["visible-only", "split", "split", "held-out"]),
        "expected": dice.choice([0, 9, 10, 12]), "run": dice.choice([0, 9, 10, 12]), "failed": dice.choice([0, 0, 1]),
        "split": dice.choice([0, 5, 9, 12]), "unstable": dice.sample(["a.py::a", "a.py::b"], dice.randrange(3)),
        "review": dice.sample(["review.differs", "review.time_bomb"], dice.randrange(3)),
    }  # fmt: skip
    question["quarantine"] = [
        {
            "test": dice.choice(["a.py::a", "a.py::b"]),
            "until": 1_790_000_100 + dice.choice([-1, 0, 1, 7_776_000, 7_776_001]),
            "reason": dice.choice(["slow", "slow", ""]), "owner": "ada",
        }
        for _ in range(dice.randrange(3))
    ]  # fmt: skip


def _broken(question: dict[str, Any], dice: random.Random) -> None:
    key = dice.choice(sorted(question))
    value = question[key]
    place: Any = question
    if isinstance(value, dict) and value and dice.random() < 0.8:
        place, key = value, dice.choice(sorted(value))
    place[key] = dice.choice([None, "", "x", -1, 0, 9, True, [], {}, [[]], [{}], {"a": 1}, ["x"]])


def _rest(question: dict[str, Any], dice: random.Random) -> None:
    question["secrets"] = dice.choice([[], [], [{"rule": "r", "path": dice.choice(NAMES), "line": 7}]])
    question["component"] |= {"flag": dice.choice(["f", "f", ""]), "kpis": dice.choice([["errors"], ["errors"], []])}
    question["policy"]["bundle"] = dice.choice(["sha256:bundle", "sha256:bundle", "sha256:other"])


def with_a_rule(tmp_path: Path, name: str) -> Path:
    """Return a copy of the policies with one rule more, that nothing lists."""
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    text = (folder / "author" / "held.rego").read_text().replace("author.held", f"author.{name}")
    text = text.replace(f"input.author.{name}", "input.author.held")
    (folder / "author" / f"{name}.rego").write_text(text)
    return folder


def test_a_rule_whose_file_is_called_like_a_tests_is_named_and_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs_test\.rego:6: a rule whose file"):
        Builder(OPA, with_a_rule(tmp_path, "needs_test")).files()


def test_a_rule_that_the_data_does_not_list_and_that_has_no_test_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"author/more\.rego:6: author\.more has no test"):
        Builder(OPA, with_a_rule(tmp_path, "more")).files()
    found = lint.lint(OPA, folder.read(tmp_path / "policies"), capabilities=bundle.sources()["capabilities.json"])
    assert "add author.more" in {one.fix for one in found.problems if one.code == "policy.rules"}
