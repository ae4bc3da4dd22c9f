"""A sandbox as a Kubernetes Job: what to ask of a cluster whose nodes know gVisor. Pure text, nothing is sent.

A cluster's own words are not believed: that the pod runs in gVisor is proved from inside, by the supervisor's first
frame, as with every back-end. What is rendered here is accepted by a real API server (tests/real/test_kubernetes.py);
it was never run by a kubelet with gVisor. Known: a kubelet bounds processes for all its pods alike, so the polite limit
in the guest is the only one of ours; it writes a container's output to its node's disk, which `ephemeral-storage`
bounds; and a NetworkPolicy binds only where the cluster's network heeds it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evoguard_sandbox.rooms.spec import SUPERVISOR_CAPS, env
from evoguard_sandbox.types import Limits, SandboxError

NOBODY = 65534
IMAGE = re.compile(r"[a-z0-9]+(?:[._/:-][a-z0-9]+)*@sha256:[0-9a-f]{64}")
LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
SLACK_S = 60
KEEP_S = 300
SHM_BYTES = 64 << 20
OUTPUT_SHARE = 4
"""The kubelet keeps a container's output as JSON lines, at most so many times as long."""
Inside = Literal["supervisor", "command"]
"""Who is PID 1. A supervisor is root in the guest, with four rights, and starts what is tested as nobody: only so can a
verdict be made, and the namespace is "baseline". A command is nobody from the start and the namespace "restricted"."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where jobs go. `pods`: how many at most at a time; `runtime_class`: the class whose handler is gVisor's."""

    namespace: str
    image: str
    pods: int = 8
    inside: Inside = "supervisor"
    runtime_class: str = "gvisor"


def manifests(cluster: Cluster, limits: Limits) -> list[dict[str, Any]]:
    """Return the namespace, its closed network and its quota; to be made once. Raises: SandboxError as `job`."""
    _check(cluster)
    level = {"supervisor": "baseline", "command": "restricted"}[cluster.inside]
    words = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")}
    whole = {name: _times(amount, cluster.pods) for name, amount in _amounts(limits).items()}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace, "labels": words}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny-all", "namespace": cluster.namespace},
            # An empty selector is every pod: one that chose by label would miss the pod whose label is wrong.
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []},
        },
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "sandboxes", "namespace": cluster.namespace},
            "spec": {
                "hard": {
                    "pods": str(cluster.pods),
                    **{f"{kind}.{name}": amount for name, amount in whole.items() for kind in ("requests", "limits")},
                    **{f"count/{name}": "0" for name in ("services", "secrets", "persistentvolumeclaims")},
                }
            },
        },
    ]


def job(cluster: Cluster, limits: Limits, *, name: str, run: str, argv: Sequence[str]) -> dict[str, Any]:
    """Return the Job of one sandbox. `name` is its own; `run` is the label by which a dead run's jobs are found.

    Raises: SandboxError for an image that is not named by digest, or a name that a cluster would not take.
    """
    _check(cluster, name, run)
    labels = {"evoguard.run": run}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": int(limits.wall_s + limits.start_s) + SLACK_S,
            "ttlSecondsAfterFinished": KEEP_S,
            "template": {"metadata": {"labels": labels}, "spec": _pod(cluster, limits, argv)},
        },
    }


def yaml(documents: Sequence[dict[str, Any]]) -> str:
    """Return the documents as one YAML stream; JSON is YAML, and the same documents are the same bytes."""
    return "".join(f"---\n{json.dumps(each, indent=2, sort_keys=True)}\n" for each in documents)


def _pod(cluster: Cluster, limits: Limits, argv: Sequence[str]) -> dict[str, Any]:
    amounts = _amounts(limits)
    scratch = {"room": limits.tmp_bytes, "tmp": limits.tmp_bytes, "shm": SHM_BYTES}
    places = {"room": "/room", "tmp": "/tmp", "shm": "/dev/shm"}  # noqa: S108 (paths in the guest)
    return {
        "runtimeClassName": cluster.runtime_class,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "setHostnameAsFQDN": False,
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, **_who(cluster)},
        "volumes": [
            {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}} for name, size in scratch.items()
        ],
        "containers": [
            {
                "name": "sandbox",
                "image": cluster.image,
                "imagePullPolicy": "IfNotPresent",
                "command": list(argv),
                "env": [dict(zip(("name", "value"), line.split("=", 1), strict=True)) for line in env(["/opt/layer"])],
                "stdin": True,
                "stdinOnce": True,
                "tty": False,
                "resources": {"limits": amounts, "requests": amounts},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"], **_rights(cluster)},
                },
                "volumeMounts": [{"name": name, "mountPath": path} for name, path in places.items()],
            }
        ],
    }


def _who(cluster: Cluster) -> dict[str, Any]:
    if cluster.inside == "supervisor":
        return {"runAsUser": 0, "runAsGroup": 0}
    return {"runAsNonRoot": True, "runAsUser": NOBODY, "runAsGroup": NOBODY, "fsGroup": NOBODY}


def _rights(cluster: Cluster) -> dict[str, Any]:
    if cluster.inside == "command":
        return {}
    return {"add": [name.removeprefix("CAP_") for name in SUPERVISOR_CAPS]}


def _amounts(limits: Limits) -> dict[str, str]:
    written = OUTPUT_SHARE * (limits.report_bytes + 2 * limits.output_bytes + limits.take_bytes)
    return {"cpu": "1", "memory": str(limits.memory_bytes), "ephemeral-storage": str(written)}


def _times(amount: str, count: int) -> str:
    return str(int(amount) * count)


def _check(cluster: Cluster, *names: str) -> None:
    if IMAGE.fullmatch(cluster.image) is None:
        raise SandboxError("sandbox.image", f"{cluster.image!r} is not named by digest", "write NAME@sha256:DIGEST")
    for name in (cluster.namespace, cluster.runtime_class, *names):
        if LABEL.fullmatch(name) is None:
            raise SandboxError("sandbox.name", f"a cluster would not take the name {name!r}", "use a-z, 0-9 and -")
