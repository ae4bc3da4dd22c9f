"""Attacks on the rules themselves: a looser constitution, a bundle that fails its tests, edits that nobody notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evoguard.adapters.floored import FlooredPolicies
from evoguard.adapters.opa_server import OpaServerPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies, run_rule_tests
from evoguard.bundle import load
from evoguard.errors import EvoguardError, InputError
from evoguard.wiring import activating
from evoguard.wiring.rulebook import in_force
from rules_office import loosened
from unit.cli.recorded import edited


async def test_the_constitution_that_ships_holds_over_any_bundle(office):
    from contract.policies_suite import a_question, touching

    loose = OpaWasmPolicies(folder=loosened(office.folder / "loose"))
    asked = a_question(files=touching(".github/workflows/ci.yml"))
    own = await loose.decide("review", asked)
    floor = await FlooredPolicies(loose, OpaWasmPolicies()).floor("review", asked)
    assert own.allow, own
    assert floor is not None
    held = floor.under(own)
    assert (held.allow, [f.code for f in held.deny]) == (False, ["approval.guard_paths"])


async def test_what_is_no_constitution_people_may_change(office):
    from contract.policies_suite import FILE, a_question

    many = [{**FILE, "path": f"lending/f{n}.py"} for n in range(200)]
    asked = a_question(files=many, totals={"files": 200, "added": 600, "deleted": 200, "omitted": 0})
    wide = OpaWasmPolicies(folder=edited(office.folder / "wide", max_files=1000))
    shipped = OpaWasmPolicies()
    assert not (await shipped.decide("review", asked)).allow
    floor = await FlooredPolicies(wide, shipped).floor("review", asked)
    assert floor is not None
    assert floor.under(await wide.decide("review", asked)).allow


async def test_the_shipped_rules_are_not_asked_twice_unless_a_server_answers_for_them(office):
    from contract.policies_suite import a_question

    shipped = OpaWasmPolicies()
    assert await FlooredPolicies(shipped, shipped).floor("review", a_question()) is None
    server = OpaServerPolicies("http://127.0.0.1:1", load())
    assert await FlooredPolicies(server, shipped).floor("review", a_question()) is not None


def broken(folder: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """Return a bundle whose manifest says something else and names itself rightly."""
    from evoguard import bundle

    data = json.loads(load().data)
    edited(folder, {"constitution": [code for code in data["constitution"] if code != "author.held"]})
    doc = json.loads((folder / bundle.MANIFEST).read_bytes())
    change(doc)
    doc["digest"] = bundle.identity(doc)
    (folder / bundle.MANIFEST).write_text(json.dumps(doc))
    return folder


@pytest.mark.parametrize("how", ["gone", "milder"])
def test_a_bundle_without_the_constitution_is_refused_by_name(office, how):
    def change(doc):
        if how == "gone":
            del doc["codes"]["author.held"]
            doc["rules"].remove("author.held")
        else:
            doc["codes"]["author.held"]["severity"] = "note"

    with pytest.raises(EvoguardError) as said:
        office.prepared(str(broken(office.folder / "b", change)))
    assert (said.value.code, "author.held" in said.value.message) == ("policy.constitution", True)


def test_a_bundle_whose_own_tests_fail_is_refused(office, monkeypatch):
    monkeypatch.setattr(activating, "run_rule_tests", run_rule_tests)
    failing = edited(office.folder / "b", {"limits": {}})
    with pytest.raises(InputError) as said:
        office.prepared(str(failing))
    assert said.value.code == "policy.tests_failed"
    assert in_force(office.opened).waiting == {}
