"""Where the Node SDKs come from: a lock of exact versions and hashes, no address, and a clear word without npm."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from evoguard.bench import kill_node
from evoguard.errors import UnavailableError


def test_every_package_has_its_hash_and_none_an_address() -> None:
    lock = json.loads(resources.files("evoguard.bench").joinpath("node", "package-lock.json").read_bytes())
    packages = {name: row for name, row in lock["packages"].items() if name}
    assert {"node_modules/unleash-client", "node_modules/@unleash/client-specification"} <= packages.keys()
    assert all(row["integrity"].startswith("sha512-") and "resolved" not in row for row in packages.values())


@pytest.mark.parametrize("npm", ["missing", "failing"])
def test_without_npm_it_is_said_what_to_do(tmp_path, monkeypatch: pytest.MonkeyPatch, npm: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if npm == "failing":
        for name in ("node", "npm"):
            (tmp_path / name).write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
            (tmp_path / name).chmod(0o755)
    with pytest.raises(UnavailableError) as caught:
        kill_node.sdks()
    assert "npm" in caught.value.fix
    assert [*tmp_path.glob("cache/evoguard/node/*")] == []
