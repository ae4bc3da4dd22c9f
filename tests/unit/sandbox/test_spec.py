"""What gVisor is told of a sandbox: nothing of the host gets in, nothing in it may write outside."""

from __future__ import annotations

from evoguard_sandbox.rooms.spec import Bind, bundle, env
from evoguard_sandbox.types import Limits


def test_the_bundle_gives_the_guest_no_right_and_no_writable_place_of_the_host(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOGUARD_PLANTED", "secret")
    binds = [Bind(tmp_path, "/opt/layer")]
    spec = bundle(tmp_path, binds, argv=["/opt/python/bin/python3", "x"], hostname="box", cgroup="/x", limits=Limits())
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
