"""The sandbox's promises in a Docker engine, and what only that back-end has: images, an engine to distrust, TLS."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException, NotFound

from contract.sandbox_apart import ApartSuite
from contract.sandbox_engine import Here, an_engine, keys
from contract.sandbox_suite import GOOD, SHORT, Kind, SandboxSuite, python, tool
from evoguard import bundle
from evoguard.adapters import tool_cache
from evoguard.adapters.scanners.semgrep import Semgrep
from evoguard.ports.forge import Blob
from evoguard_sandbox import Job, JobReport, Limits, Room, SandboxError, Suite, execute, prove, run, sweep
from evoguard_sandbox.rooms import engine as engine_module
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.box import Box, Order
from evoguard_sandbox.rooms.engine import host_config
from evoguard_sandbox.rooms.engine_image import Images, config, name_of
from evoguard_sandbox.rooms.engine_link import Engine

pytestmark = pytest.mark.needs_gvisor


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with an_engine() as found:
        yield found


@pytest.fixture(scope="module")
def client(here: Here) -> Iterator[docker.APIClient]:
    made = docker.APIClient(here.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def kind(here: Here, client: docker.APIClient) -> Kind:
    layer = tool("runner-layer.sh")

    def names(room: Room, *, all_of_them: bool) -> list[str]:
        of_ours = {"label": [f"evoguard.installation={room.installation}"]}
        return [row["Names"][0].lstrip("/") for row in client.containers(all=all_of_them, filters=of_ours)]

    return Kind(
        lambda state: Room.open(state, Path(), layer, engine=Engine(here.url)),
        f"Room.open(state, Path(), Path({str(layer)!r}), engine=Engine({here.url!r}))",
        lambda room: names(room, all_of_them=True),
        lambda room: names(room, all_of_them=False),
        "engine",
        "recorded",
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("room")


@pytest.fixture(scope="module")
def room(kind: Kind, state: Path) -> Iterator[Room]:
    opened = kind.opens(state)
    yield opened
    assert kind.left_behind(opened) == []
    opened.close()


@contextmanager
def a_room(state: Path, engine: Engine) -> Iterator[Room]:
    with closing(Room.open(state, Path(), tool("runner-layer.sh"), engine=engine)) as opened:
        yield opened


class TestDocker(SandboxSuite, ApartSuite):
    async def test_a_suite_runs_apart_and_is_recorded(self, room: Room):
        seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=room)
        assert (seen.behaviour.status, seen.behaviour.reason, seen.behaviour.connects) == ("recorded", "", ())
        assert (seen.split, seen.assurance) == (1, "split")
        assert "docker" in seen.runsc

    async def test_what_a_command_opens_starts_and_tries_to_reach_is_recorded_outside_it(self, room: Room):
        code = (
            "import socket, subprocess\nopen('/etc/hosts').read()\nsubprocess.run(['/usr/bin/true'])\n"
            "try: socket.create_connection(('192.0.2.1', 443), 2)\nexcept OSError: pass"
        )
        seen = await execute(Job(("python", "-I", "-c", code), record_files=True), limits=SHORT, room=room)
        told = seen.behaviour
        assert told.status == "recorded"
        assert [(c.address, c.port) for c in told.connects] == [("192.0.2.1", 443)]
        assert any(name.endswith("/true") for name in told.programs)
        assert "/etc/hosts" in told.files
        assert {f.term for f in seen.findings} == {"192.0.2.1:443"}


async def test_the_scanner_works_in_the_engine_too(room: Room):
    async def run_job(job: Job, limits: Limits) -> JobReport:
        return await execute(job, limits=limits, room=room)

    scanner = Semgrep(run_job, tool_cache.semgrep_dir(), bundle.load().scan)
    seen = await scanner.scan({}, {"a.py": Blob("100644", b"eval(x)\n")}, [("", "a.py")])
    assert (seen.status, [hit.rule for hit in seen.new], seen.isolation) == ("complete", ["python.eval"], "gvisor")


async def running(room: Room, code: str = "import time; time.sleep(60)") -> tuple[asyncio.Task[object], str]:
    """Start a command and return its task and its container's id."""
    task = asyncio.create_task(python(room, code))
    link = room.engines[0].link
    of_run = {"label": [f"evoguard.run={room.run_id}"]}
    while not (found := link.client.containers(all=False, filters=of_run)):
        await asyncio.sleep(0.02)
    return task, found[0]["Id"]


async def stop(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_engine_was_told_every_bound(room: Room, client: docker.APIClient):
    task, container = await running(room)
    told = client.inspect_container(container)
    await stop(task)
    host, own = told["HostConfig"], told["Config"]
    assert host["Runtime"] == "runsc"
    assert (host["NetworkMode"], host["IpcMode"], own["NetworkDisabled"]) == ("none", "none", True)
    assert (host["ReadonlyRootfs"], host["Privileged"], host["AutoRemove"]) == (True, False, False)
    assert (host["Binds"], host.get("Mounts"), told["Mounts"]) == (None, None, [])
    assert set(host["Tmpfs"]) == {"/tmp", "/room", "/dev/shm"}
    assert all("size=" in how for how in host["Tmpfs"].values())
    assert [name.upper().removeprefix("CAP_") for name in host["CapDrop"]] == ["ALL"]
    assert {name.removeprefix("CAP_") for name in host["CapAdd"]} == {"CHOWN", "KILL", "SETUID", "SETGID"}
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Memory"], host["MemorySwap"]) == (SHORT.memory_bytes, SHORT.memory_bytes)
    assert host["PidsLimit"] == SHORT.pids
    assert host["Ulimits"] == [{"Name": "core", "Hard": 0, "Soft": 0}]
    assert host["LogConfig"]["Type"] == "none"
    assert (own["User"], own["OpenStdin"], own["Tty"]) == ("0:0", True, False)
    assert own["Labels"]["evoguard.installation"] == room.installation
    assert own["Labels"]["evoguard.run"] == room.run_id
    assert told["Image"] == client.inspect_image(own["Image"])["Id"]


async def test_nothing_of_the_engines_host_shows_in_the_guest(room: Room):
    code = "print([open(f'/etc/{n}').read() for n in ('resolv.conf', 'hosts')], open('/etc/hostname').read())"
    seen = await python(room, code)
    names = {line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines() if "nameserver" in line}
    assert seen.exit_status == 0
    assert not any(name.encode() in seen.stdout for name in names)
    assert Path("/etc/hostname").read_text().strip().encode() not in seen.stdout.split()


async def test_a_runtime_that_is_not_gvisor_is_refused(here: Here, state: Path, kind: Kind):
    with a_room(state, Engine(here.url, "runc")) as room:
        with pytest.raises(SandboxError) as caught:
            await execute(Job(("true",)), limits=SHORT, room=room)
        assert caught.value.code == "sandbox.not_gvisor"
        seen = await run(Suite(GOOD, GOOD), limits=SHORT, room=room)
        assert (seen.passed, seen.outcome, seen.verdict) == (False, "void", "void")
        assert kind.left_behind(room) == []
        assert seen.isolation == ""


async def test_a_runtime_that_is_named_unsafe_runs_and_every_report_says_so(here: Here, state: Path, kind: Kind):
    with a_room(state, Engine(here.url, "unsafe-runc")) as room:
        seen = await python(room, "import os; print(os.getresuid())")
        assert (seen.outcome, seen.stdout, seen.isolation) == ("finished", b"(65534, 65534, 65534)\n", "unsafe-runc")
        assert seen.kernel == Path("/proc/version").read_text().strip()[: len(seen.kernel)]
        report = await run(Suite(GOOD, GOOD), limits=SHORT, room=room)
        assert (report.verdict, report.isolation) == ("pass", "unsafe-runc")
        assert (seen.behaviour.status, seen.behaviour.reason[:12]) == ("not recorded", "the engine's")
        assert kind.left_behind(room) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"url": "unix:///nowhere/docker.sock"}, "sandbox.engine_missing"),
        ({"url": "tcp://127.0.0.1:2375"}, "sandbox.engine_url"),
        ({"url": "ssh://somewhere"}, "sandbox.engine_url"),
        ({"runtime": "kata"}, "sandbox.runtime_missing"),
    ],
    ids=["nobody answers", "TCP without TLS", "another way", "a runtime the engine does not know"],
)
def test_a_room_without_a_good_engine_does_not_open(here: Here, state: Path, words: dict[str, str], code: str):
    with pytest.raises(SandboxError) as caught:
        Room.open(state, Path(), tool("runner-layer.sh"), engine=Engine(**{"url": here.url, **words}))
    assert caught.value.code == code
    assert caught.value.fix
    gc.collect()  # a connection left open would be told here


async def test_an_engine_far_away_is_spoken_to_by_tls(here: Here, state: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with a_room(state, Engine(here.tls_url, tls_dir=here.tls)) as room:
        assert (await prove(room)).kernel.startswith("Linux version 4.")
        data = bytes(range(256)) * 8192
        job = Job(("python", "-c", "import shutil; shutil.copy('a', 'b')"), {"a": (0o100644, data)}, take=("b",))
        report = await execute(job, limits=SHORT, room=room)
        assert report.artefacts == {"b": (0o100644, data)}
        assert (report.behaviour.status, "another host" in report.behaviour.reason) == ("not recorded", True)


def test_an_engine_with_anothers_certificate_is_not_spoken_to(
    here: Here, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(here.tls / "ca.pem"))  # a variable is not to be trusted
    keys(tmp_path / "tls")
    with pytest.raises(SandboxError) as caught:
        Room.open(state, Path(), tool("runner-layer.sh"), engine=Engine(here.tls_url, tls_dir=tmp_path / "tls"))
    assert caught.value.code == "sandbox.engine_missing"


def test_the_image_is_what_its_name_says(room: Room, client: docker.APIClient):
    images = room.engines[0].images
    told = client.inspect_image(images.of(()))
    name = name_of(told["RootFS"]["Layers"])
    assert name in told["RepoTags"]
    assert client.inspect_image(name)["Id"] == "sha256:" + name.partition(":")[2]
    assert len(told["RootFS"]["Layers"]) == 1


def test_an_image_of_our_name_with_other_content_is_replaced(room: Room, client: docker.APIClient, tmp_path: Path):
    told = client.inspect_image(Images(room, room.engines[0].link).of(()))
    ours = told["RepoTags"][0]
    repository, _, tag = ours.partition(":")
    client.import_image_from_data(b"\0" * 10240, repository=repository, tag=tag)
    assert client.inspect_image(ours)["Id"] != told["Id"]
    again = Images(room, room.engines[0].link)
    assert again.of(()) == told["Id"]
    assert client.inspect_image(ours)["Id"] == told["Id"]


def test_an_engine_that_takes_an_image_and_does_not_hold_it_is_refused(room: Room, tmp_path: Path):
    class Deaf:
        def __init__(self) -> None:
            self.error, self.absent = (DockerException, OSError), (NotFound,)
            self.client = self

        def inspect_image(self, image: str) -> dict[str, object]:
            return {"Id": "sha256:other", "RootFS": {"Layers": ["sha256:other"]}}

        def load(self, archive: Iterator[bytes]) -> None:
            assert sum(map(len, archive)) > 1 << 20

    with pytest.raises(SandboxError) as caught:
        Images(room, Deaf()).of(())  # type: ignore[arg-type]  # an engine that lies
    assert caught.value.code == "sandbox.image"
    assert list((room.home / "images").glob("spool*")) == []


async def test_a_layer_that_takes_files_away_is_refused(room: Room, tmp_path: Path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / ".wh.x").touch()
    with pytest.raises(SandboxError) as caught:
        await execute(Job(("true",), layer_dirs=(tmp_path,)), limits=SHORT, room=room)
    assert caught.value.code == "sandbox.image"


@pytest.mark.parametrize("how", ["kill", "remove"])
async def test_a_container_that_ends_by_another_hand_is_no_pass(room: Room, client: docker.APIClient, how: str):
    box = await Box(room, Make("job", SHORT)).start()
    assert box.ready
    order = Order("", [], [], [room.python.guest_path, "-c", "import time; time.sleep(60)"], (), {})
    task = asyncio.create_task(box.obey(order))
    if how == "kill":
        client.kill(box.name)
        seen = await task
        assert (seen.outcome, seen.exit_status) == ("crashed", None)
        return
    client.remove_container(box.name, force=True)
    with pytest.raises(SandboxError) as caught:
        await task
    assert caught.value.code == "sandbox.engine_lost"


async def test_a_run_cancelled_while_its_container_is_being_made_leaves_none(
    room: Room, kind: Kind, monkeypatch: pytest.MonkeyPatch
):
    client = room.engines[0].link.client
    real, begun, go_on, made = client.create_container, threading.Event(), threading.Event(), threading.Event()

    def slow(*args: object, **words: object) -> object:
        begun.set()
        go_on.wait(30)
        try:
            return real(*args, **words)
        finally:
            made.set()

    monkeypatch.setattr(client, "create_container", slow)
    task = asyncio.create_task(python(room, "pass"))
    assert await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    await asyncio.sleep(0.2)
    go_on.set()
    assert await asyncio.to_thread(made.wait, 30)
    await asyncio.gather(task, return_exceptions=True)
    assert kind.left_behind(room) == []


async def test_an_engine_that_does_not_remove_at_first_is_asked_again(
    room: Room, kind: Kind, monkeypatch: pytest.MonkeyPatch
):
    client, asked = room.engines[0].link.client, []
    real = client.remove_container

    def busy(container: str, *, v: bool, force: bool) -> None:
        asked.append(container)
        if len(asked) < 3:
            raise DockerException("busy")
        real(container, v=v, force=force)

    monkeypatch.setattr(client, "remove_container", busy)
    assert (await python(room, "pass")).outcome == "finished"
    assert len(asked) == 3
    assert kind.left_behind(room) == []


async def test_two_rooms_on_one_engine_do_not_sweep_each_other(room: Room, kind: Kind, tmp_path: Path, state: Path):
    with a_room(state, room.engines[0].link.engine) as other:
        task, container = await running(other)
        (room.home / "runs" / "deadbeef").write_text("docker")  # a run that is over
        (room.home / "runs" / "deadbeee").write_text("runsc")  # and one of the other back-end, which is not ours
        assert sweep(room) == 0
        assert not (room.home / "runs" / "deadbeef").exists()
        assert (room.home / "runs" / "deadbeee").exists()
        assert container in {row["Id"] for row in room.engines[0].link.client.containers(all=False, filters={})}
        await stop(task)


def test_the_configuration_names_nothing_but_content():
    one, two = config(["sha256:" + "a" * 64]), config(["sha256:" + "b" * 64])
    assert one != two
    assert one == config(["sha256:" + "a" * 64])
    assert host_config(Limits())["network_mode"] == "none"
    assert engine_module.Docker.pairs is True
