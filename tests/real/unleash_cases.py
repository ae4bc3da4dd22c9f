"""Unleash's published client-specification, and a flag server that serves each of its documents."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.flags_suite import House, until
from evoguard.adapters.sqlite import tokens
from evoguard.adapters.sqlite.db import connect
from evoguard.bench import kill_node
from evoguard.errors import UnavailableError

CASES = 227 + 52


def node_home() -> Path:
    """Return where the Node SDKs and the cases are; without them the tests are skipped, or fail when wanted."""
    try:
        return kill_node.sdks()
    except UnavailableError as err:
        if os.environ.get("EVOGUARD_REQUIRE_REAL") == "1":
            raise
        pytest.skip(f"{err.message}: {err.fix}")


@dataclass(frozen=True)
class Spec:
    """One file of cases."""

    path: Path
    doc: dict[str, Any]

    @property
    def state(self) -> dict[str, Any]:
        """Return features and segments; a file of events is what they leave."""
        if "features" in self.doc["state"]:
            return {"features": self.doc["state"]["features"], "segments": self.doc["state"].get("segments", [])}
        features: dict[str, Any] = {}
        segments: dict[int, Any] = {}
        for event in self.doc["state"]["events"]:
            if event["type"] == "hydration":
                features = {one["name"]: one for one in event["features"]}
                segments = {one["id"]: one for one in event.get("segments", [])}
            elif event["type"] == "feature-updated":
                features[event["feature"]["name"]] = event["feature"]
            elif event["type"] == "feature-removed":
                features.pop(event["featureName"])
            elif event["type"] == "segment-updated":
                segments[event["segment"]["id"]] = event["segment"]
            else:
                raise AssertionError(event["type"])
        return {"features": [*features.values()], "segments": [*segments.values()]}

    @property
    def names(self) -> set[str]:
        return {one["name"] for one in self.state["features"]}


def specs(home: Path) -> list[Spec]:
    folder = home / "node_modules" / "@unleash" / "client-specification" / "specifications"
    names = json.loads((folder / "index.json").read_bytes())
    return [Spec(folder / name, json.loads((folder / name).read_bytes())) for name in names]


class Stage(House):
    """A house whose operator gives documents of their own."""

    def give(self, url: str, state: dict[str, Any]) -> None:
        """Put a document there as a whole; return when it is served, field by field as it was given."""
        fresh = self.unguarded.with_suffix(".new")
        fresh.write_text(json.dumps({"version": 2, **state}), encoding="utf-8")
        fresh.replace(self.unguarded)
        wanted = {kind: _by(state[kind], key) for kind, key in (("features", "name"), ("segments", "id"))}

        def served() -> bool:
            doc = httpx.get(f"{url}/api/client/features", headers={"Authorization": self.read_token}).json()
            return {kind: _by(doc[kind], key) for kind, key in (("features", "name"), ("segments", "id"))} == wanted

        until(served)

    def token_of(self, url: str, environment: str) -> str:
        """Return a new token of an environment, once the server lets it in."""
        with closing(connect(self.database)) as con:
            made = tokens.issue(con, "frontend.read", "case", environment=environment)
        until(lambda: httpx.get(f"{url}/api/frontend", headers={"Authorization": made}).status_code == 200)
        return made


@contextmanager
def a_stage(folder: Path) -> Iterator[tuple[Stage, str]]:
    stage = Stage(folder)
    with stage.serving() as url:
        yield stage, url


def _by(rows: list[dict[str, Any]], key: str) -> dict[Any, Any]:
    return {row[key]: row for row in rows}
