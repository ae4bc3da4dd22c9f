"""Unleash's own cases through our server: stock Python and Node SDKs, polling and streaming, and the frontend API."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.flags_suite import an_sdk, until
from real.unleash_cases import CASES, Spec, a_stage, node_home, specs

SCRIPT = Path(__file__).with_name("client_specification.cjs")


@pytest.fixture(scope="module")
def home() -> Path:
    return node_home()


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("UnleashClient").setLevel(logging.CRITICAL)


def ask(sdk, spec: Spec) -> tuple[int, list[Any]]:
    """Return how many cases a Python SDK was asked, and those that it answered otherwise."""
    wrong: list[Any] = []
    for case in spec.doc.get("tests", []):
        sdk.unleash_static_context = _static(case)
        if bool(sdk.is_enabled(case["toggleName"], dict(case["context"]))) is not case["expectedResult"]:
            wrong.append((spec.path.name, case["description"]))
    for case in spec.doc.get("variantTests", []):
        sdk.unleash_static_context = _static(case)
        if not same_variant(dict(sdk.get_variant(case["toggleName"], dict(case["context"]))), case["expectedResult"]):
            wrong.append((spec.path.name, case["description"]))
    return len(spec.doc.get("tests", [])) + len(spec.doc.get("variantTests", [])), wrong


def _static(case: dict[str, Any]) -> dict[str, str]:
    given = case["context"]
    return {"appName": given.get("appName", "specification"), "environment": given.get("environment", "default")}


def same_variant(seen: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Tell whether they agree in every field that is wanted, under either of the two spellings."""
    flat = {key: value for key, value in wanted.items() if key != "featureEnabled"}
    if "featureEnabled" in wanted:
        flat["feature_enabled"] = wanted["featureEnabled"]
    return all(seen.get(key) == value for key, value in flat.items()) and seen.get("payload") == flat.get("payload")


@pytest.mark.parametrize("mode", ["polling", "streaming"])
def test_every_case_through_the_stock_python_sdk(home, tmp_path, mode):
    """One stream carries all documents one after the other, so each is told as its difference from the last."""
    asked, wrong = 0, []
    with a_stage(tmp_path) as (stage, url):
        if mode == "streaming":
            with an_sdk(url, stage, experimental_mode={"type": "streaming"}) as sdk:
                for spec in specs(home):
                    stage.give(url, spec.state)
                    until(lambda sdk=sdk, spec=spec: set(sdk.feature_definitions()) == spec.names)
                    n, missed = ask(sdk, spec)
                    asked, wrong = asked + n, wrong + missed
        else:
            for number, spec in enumerate(specs(home)):
                stage.give(url, spec.state)
                with an_sdk(url, stage, cache=f"polls-{number}") as sdk:
                    n, missed = ask(sdk, spec)
                    asked, wrong = asked + n, wrong + missed
    assert (asked, wrong) == (CASES, [])


def test_every_case_through_the_stock_node_sdk(home, tmp_path):
    asked, wrong = 0, []
    with a_stage(tmp_path) as (stage, url):
        words = ["node", str(SCRIPT), str(home / "node_modules"), url, str(tmp_path)]
        environ = {"PATH": os.environ["PATH"], "EVOGUARD_TOKEN": stage.read_token}
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as node:
            for spec in specs(home):
                stage.give(url, spec.state)
                node.stdin.write(f"{spec.path}\n")
                node.stdin.flush()
                told = json.loads(node.stdout.readline())
                asked, wrong = asked + told["asked"], wrong + told["wrong"]
            node.stdin.close()
            node.wait(30)
    assert (asked, wrong) == (CASES, [])


def test_every_case_that_applies_through_the_frontend_api(home, tmp_path):
    """Not asked: cases that say what time it is, which a frontend client may not. The environment is the token's."""
    asked, left_out, wrong, held = 0, 0, [], {}
    with a_stage(tmp_path) as (stage, url), httpx.Client(base_url=url) as client:
        for spec in specs(home):
            stage.give(url, spec.state)
            for case in [*spec.doc.get("tests", []), *spec.doc.get("variantTests", [])]:
                where = case["context"].get("environment", "default")
                held[where] = held.get(where) or stage.token_of(url, where)
                if "currentTime" in case["context"]:
                    left_out += 1
                    continue
                asked += 1
                answer = client.post("/api/frontend", json={"context": case["context"]},
                                     headers={"Authorization": held[where]})  # fmt: skip
                assert answer.status_code == 200, (case, answer.text)
                if not _as_wanted({row["name"]: row for row in answer.json()["toggles"]}, case):
                    wrong.append((spec.path.name, case["description"]))
    assert (asked + left_out, wrong) == (CASES, [])
    assert left_out < 20


def _as_wanted(rows: dict[str, Any], case: dict[str, Any]) -> bool:
    row, wanted = rows.get(case["toggleName"]), case["expectedResult"]
    if isinstance(wanted, bool):
        return (row is not None) is wanted
    off = {"name": "disabled", "enabled": False, "feature_enabled": False}
    return same_variant(row["variant"] if row else off, wanted)
