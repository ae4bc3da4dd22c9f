"""What is weighed under rules of people's own: their weights, never fewer guard paths than ship."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evoguard import bundle
from evoguard.adapters.floored import FlooredPolicies
from evoguard.domain.canonical import Json, digest_of
from evoguard.errors import IntegrityError

SHIPPED = bundle.load().numbers


def under(own: dict[str, Json]) -> Any:  # noqa: ANN401  (read like JSON)
    parts: Any = SimpleNamespace(data=own), SimpleNamespace(data=SHIPPED)
    return FlooredPolicies(*parts).data


def test_guard_paths_that_ship_stay() -> None:
    found = under({**SHIPPED, "guard": {"globs": ["own/**"], "people": 2}})["guard"]["globs"]
    assert {"own/**", "{policies,policies/**}"} <= set(found)


def test_own_weights_hold_and_a_bundle_from_before_has_those_that_ship() -> None:
    assert under({**SHIPPED, "risk": {"own": 1}})["risk"] == {"own": 1}
    assert under({k: v for k, v in SHIPPED.items() if k != "risk"})["risk"] == SHIPPED["risk"]


def test_a_bundle_whose_weights_may_fall_is_not_loaded(tmp_path: Path) -> None:
    home = Path(bundle.__file__).parent
    for name in (bundle.WASM, bundle.TESTS, bundle.SCAN, bundle.SOURCES):
        (tmp_path / name).write_bytes((home / name).read_bytes())
    data, manifest = json.loads((home / bundle.DATA).read_bytes()), json.loads((home / bundle.MANIFEST).read_bytes())
    data["risk"]["steps"]["lines"] = [[10, 60], [50, 20]]
    raw = json.dumps(data).encode()
    manifest["data"] = digest_of(raw)
    manifest["digest"] = bundle.identity(manifest)
    (tmp_path / bundle.DATA).write_bytes(raw)
    (tmp_path / bundle.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="points never fall"):
        bundle.load(tmp_path)
