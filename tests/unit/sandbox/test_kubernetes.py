from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard_sandbox.rooms.kubernetes import Cluster, Inside, job, manifests, yaml
from evoguard_sandbox.types import Limits, SandboxError

HERE = Cluster("eg", "registry.example:5000/evoguard/room@sha256:" + "a" * 64)
SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
LIMITS = Limits(wall_s=100, start_s=20, memory_bytes=1 << 30, tmp_bytes=1 << 20)


def a_job(cluster: Cluster = HERE, **words: str) -> dict[str, Any]:
    return job(cluster, LIMITS, **{"name": "eg-1", "run": "r1", "argv": ["x"], **words})  # type: ignore[arg-type]


def pod(cluster: Cluster = HERE) -> dict[str, Any]:
    found: dict[str, Any] = a_job(cluster)["spec"]["template"]["spec"]
    return found


def test_a_job_runs_once_is_bounded_in_time_and_is_cleared_away():
    told = a_job()["spec"]
    assert (told["backoffLimit"], told["completions"], told["parallelism"]) == (0, 1, 1)
    assert told["activeDeadlineSeconds"] >= 120
    assert told["ttlSecondsAfterFinished"] > 0
    assert pod()["restartPolicy"] == "Never"


@pytest.mark.parametrize("inside", ["supervisor", "command"])
def test_a_pod_holds_nothing_of_its_cluster(inside: Inside):
    told = pod(replace(HERE, inside=inside))
    assert told["runtimeClassName"] == "gvisor"
    off = ("automountServiceAccountToken", "enableServiceLinks", "hostNetwork", "hostPID", "hostIPC")
    assert [told[key] for key in off] == [False] * 5
    (only,) = told["containers"]
    held = only["securityContext"]
    assert held["readOnlyRootFilesystem"]
    assert not held["allowPrivilegeEscalation"]
    assert not held["privileged"]
    assert held["capabilities"]["drop"] == ["ALL"]
    assert {v["emptyDir"]["medium"] for v in told["volumes"]} == {"Memory"}
    assert all(int(v["emptyDir"]["sizeLimit"]) > 0 for v in told["volumes"])
    assert only["resources"]["limits"] == only["resources"]["requests"]
    assert only["resources"]["limits"]["memory"] == str(1 << 30)


def test_only_a_supervisor_is_root_and_has_its_four_rights():
    boss, command = pod(), pod(replace(HERE, inside="command"))
    assert boss["containers"][0]["securityContext"]["capabilities"]["add"] == ["CHOWN", "KILL", "SETGID", "SETUID"]
    assert command["securityContext"]["runAsNonRoot"]
    assert command["securityContext"]["runAsUser"] == 65534
    assert "add" not in command["containers"][0]["securityContext"]["capabilities"]


def test_the_network_is_shut_for_every_pod_of_the_namespace():
    policy = manifests(HERE, LIMITS)[1]
    assert policy["metadata"]["namespace"] == "eg"
    assert policy["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [],
    }


def test_the_quota_is_as_large_as_its_pods_and_no_larger():
    quota = manifests(replace(HERE, pods=3), LIMITS)[2]["spec"]["hard"]
    assert (quota["pods"], quota["limits.memory"], quota["limits.cpu"]) == ("3", str(3 << 30), "3")
    assert {quota[f"count/{name}"] for name in ("services", "secrets", "persistentvolumeclaims")} == {"0"}


@pytest.mark.parametrize(
    "image",
    ["room", "room:latest", "room@sha256:" + "a" * 63, "room:v1@sha256:" + "A" * 64, "room@sha256:" + "a" * 64 + "\n"],
)
def test_an_image_that_is_not_named_by_digest_is_refused(image: str):
    for render in (lambda c: manifests(c, LIMITS), a_job):
        with pytest.raises(SandboxError) as caught:
            render(replace(HERE, image=image))
        assert caught.value.code == "sandbox.image"


@given(st.text(max_size=70) | st.text("az09-A.\n", max_size=70))
def test_no_name_reaches_a_manifest_that_a_cluster_would_read_otherwise(name: str):
    fits = 0 < len(name) <= 63 and name.strip("-") == name and set(name) <= SAFE
    if fits:
        assert a_job(name=name)["metadata"]["name"] == name
        return
    with pytest.raises(SandboxError) as caught:
        a_job(name=name)
    assert caught.value.code == "sandbox.name"


def test_the_text_is_the_same_each_time_and_holds_every_document():
    documents = [*manifests(HERE, LIMITS), a_job()]
    text = yaml(documents)
    assert text == yaml([json.loads(json.dumps(each)) for each in documents])
    assert [json.loads(part) for part in text.split("---\n") if part] == documents
