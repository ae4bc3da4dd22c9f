"""The rendered manifests before a real API server: taken as they are, and refused when a bound is taken out of them.

Needs EVOGUARD_ETCD and EVOGUARD_KUBE_APISERVER. No kubelet runs here, so no pod starts: what is proved is that the
server knows every field and that its own admission (Pod Security, quota) holds what the manifests say.
"""

from __future__ import annotations

import copy
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from evoguard_sandbox.rooms.kubernetes import Cluster, Inside, job, manifests, yaml
from evoguard_sandbox.types import Limits

ETCD, SERVER = os.environ.get("EVOGUARD_ETCD", ""), os.environ.get("EVOGUARD_KUBE_APISERVER", "")
WHY = "EVOGUARD_ETCD and EVOGUARD_KUBE_APISERVER do not name both programs"
IMAGE = "registry.example/evoguard/room@sha256:" + "a" * 64
LIMITS = Limits()
WHERE = {
    "Namespace": "/api/v1/namespaces",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Pod": "/api/v1/namespaces/{}/pods",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Server:
    """etcd and a kube-apiserver on loopback, ended by their process ids."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, *command: str) -> None:
        log = (self.folder / "log").open("ab")
        with log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder))

    def start(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        kind = serialization.PrivateFormat.TraditionalOpenSSL
        pem = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
        (self.folder / "sa.key").write_bytes(pem)
        (self.folder / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")
        clients, peers = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        self.run(
            ETCD, "--data-dir=etcd", f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        )  # fmt: skip
        self.run(
            SERVER, f"--etcd-servers={clients}", "--cert-dir=certs", f"--secure-port={self.port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--service-cluster-ip-range=10.96.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key", "--token-auth-file=tokens.csv", "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
        )  # fmt: skip
        end = time.monotonic() + 180
        while self.status("/readyz") != 200:
            if any(p.poll() is not None for p in self.processes) or time.monotonic() > end:
                pytest.fail((self.folder / "log").read_text()[-3000:])
            time.sleep(0.1)

    def stop(self) -> None:
        for process in reversed(self.processes):  # the API server first: it hangs when etcd is gone
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def status(self, path: str) -> int:
        try:
            return self.ask("GET", path)[0]
        except OSError:
            return 0

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> tuple[int, Any]:
        trust = ssl.create_default_context(cafile=str(self.folder / "certs/apiserver.crt"))
        trust.check_hostname = False  # it is named for the cluster, not for loopback
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            data,
            {"Authorization": f"Bearer {self.token}", "Content-Type": kind},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust))
        try:
            with opener.open(asked, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text[:1] == b"{" else text
        except urllib.error.HTTPError as err:
            with err:
                text = err.read()
            return err.code, json.loads(text) if text[:1] == b"{" else text

    def create(self, document: dict[str, Any], *, dry: bool = True) -> tuple[int, Any]:
        where = WHERE[document["kind"]].format(document["metadata"].get("namespace", ""))
        return self.ask("POST", f"{where}?fieldValidation=Strict{'&dryRun=All' if dry else ''}", document)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not (ETCD and SERVER):
        if os.environ.get("EVOGUARD_REQUIRE_REAL") == "1":
            pytest.fail(WHY)
        pytest.skip(WHY)
    made = Server(Path(tempfile.mkdtemp(prefix="eg-kube-")))
    try:
        made.start()
        made.create({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"},
                     "handler": "runsc"}, dry=False)  # fmt: skip
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.folder)


def a_job(cluster: Cluster, name: str = "eg-1") -> dict[str, Any]:
    return job(cluster, LIMITS, name=name, run="r1", argv=["/opt/python/bin/python3.11", "-I", "x.py"])


def cluster(inside: Inside, namespace: str) -> Cluster:
    return Cluster(namespace, IMAGE, inside=inside)


def pod_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the pod that the job's controller would make."""
    template = copy.deepcopy(document["spec"]["template"])
    named = {**template["metadata"], "name": "pod", "namespace": document["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": template["spec"]}


def counted(server: Server, here: Cluster) -> None:
    """Do what the controller of quotas would: say that it has counted."""
    where = f"{WHERE['ResourceQuota'].format(here.namespace)}/sandboxes"
    quota = server.ask("GET", where)[1]
    quota["status"] = {"hard": quota["spec"]["hard"], "used": dict.fromkeys(quota["spec"]["hard"], "0")}
    assert server.ask("PUT", f"{where}/status", quota)[0] == 200


@pytest.mark.parametrize("inside", ["supervisor", "command"])
def test_a_real_server_takes_every_manifest_as_it_is(server: Server, inside: Inside):
    here = cluster(inside, f"eg-{inside}")
    space, *rest = manifests(here, LIMITS)
    assert server.create(space)[0] == 201
    assert server.create(space, dry=False)[0] == 201
    for document in rest:
        status, told = server.create(document)
        assert (status, told.get("message", "")) == (201, "")
        assert server.create(document, dry=False)[0] == 201
    wanted = a_job(here)
    status, told = server.create(wanted)
    assert (status, told.get("message", "")) == (201, "")
    status, pod = server.create(pod_of(wanted))
    assert (status, pod.get("message", "")) == (201, "")
    assert pod["status"]["qosClass"] == "Guaranteed"
    asked, held = wanted["spec"]["template"]["spec"], pod["spec"]
    same = {key for key in asked if held.get(key, False) == asked[key]}
    assert asked.keys() - same <= {"containers", "volumes"}  # the server writes its own defaults into these
    for key, value in asked["containers"][0].items():
        assert held["containers"][0].get(key, False) == value or key in ("resources",)
    assert [v["emptyDir"]["medium"] for v in held["volumes"]] == ["Memory"] * 3


def test_the_yaml_is_what_the_server_reads_too(server: Server):
    here = cluster("command", "eg-yaml")
    text = yaml([manifests(here, LIMITS)[0]])
    assert server.ask("POST", f"{WHERE['Namespace']}?dryRun=All", text, "application/yaml")[0] == 201


@pytest.mark.parametrize(
    ("inside", "change", "why"),
    [
        ("command", lambda pod: pod["securityContext"].pop("runAsNonRoot"), "runAsNonRoot"),
        ("command", lambda pod: pod["securityContext"].pop("seccompProfile"), "seccompProfile"),
        ("command", lambda pod: pod["containers"][0]["securityContext"].pop("capabilities"), "capabilities"),
        ("command", lambda pod: pod["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"), "Escalation"),
        ("supervisor", lambda pod: pod.update(hostNetwork=True), "host namespaces"),
        ("supervisor", lambda pod: pod["volumes"].append({"name": "h", "hostPath": {"path": "/"}}), "hostPath"),
        (
            "supervisor",
            lambda pod: pod["containers"][0]["securityContext"]["capabilities"]["add"].append("SYS_ADMIN"),
            "SYS_ADMIN",
        ),
        ("supervisor", lambda pod: pod["containers"][0].pop("resources"), "must specify"),
        ("supervisor", lambda pod: pod.update(runtimeClassName="other"), 'RuntimeClass "other" not found'),
        ("supervisor", lambda pod: pod.update(automountServiceAccountTokn=False), "unknown field"),
    ],
    ids=["root", "seccomp", "rights", "escalation", "host network", "host path", "a fifth right", "no bounds",
         "another runtime", "a field that there is not"],
)  # fmt: skip
def test_the_servers_own_admission_refuses_what_we_never_ask(
    server: Server, inside: Inside, change: Callable[[dict[str, Any]], object], why: str
):
    here = replace(cluster(inside, f"eg-no-{inside}"))
    for document in manifests(here, LIMITS):
        assert server.create(document, dry=False)[0] in (201, 409)
    counted(server, here)
    good = pod_of(a_job(here))
    assert server.create(good)[0] == 201
    change(good["spec"])
    status, told = server.create(good)
    assert status in (400, 403, 422)
    assert why in told["message"]
