"""What a rollout shows when that is not the commit itself: read from git at both commits, kept by digest, pinned."""

from __future__ import annotations

from evoguard.domain.canonical import Digest, Json, canonical
from evoguard.domain.change import CommitId
from evoguard.domain.component import FILE_NAME, Component
from evoguard.domain.events import Event
from evoguard.domain.verdict import Finding
from evoguard.domain.version import Version, VersionFiles, Versions, declared, version_of, versions_in
from evoguard.errors import EvoguardError, InputError, IntegrityError
from evoguard.flow.facts import load
from evoguard.flow.state import FlowState
from evoguard.ports import Ports


async def doubt(repo: str, component: Component, commits: tuple[str, ...], ports: Ports) -> Finding | None:
    """Return why one of these commits holds no version of the component, or None; a file that is absent is a no."""
    if component.version is None:
        return None
    if not component.flag:
        return Finding("version.no_flag", "a version is loaded by its flag, and this component has none", FILE_NAME)
    for commit in dict.fromkeys(commits):
        try:
            await _at(repo, component.name, component.version, commit, ports)
        except InputError as err:
            return Finding(err.code, f"at {commit[:12]}: {err.message}", FILE_NAME, component.name)
    return None


async def kept(state: FlowState, known_good: str, ports: Ports) -> str:
    """Put both versions of this release into the store and pin them; return their names as text, empty for commits.

    Before this ran nobody could load the candidate, and from here on nobody is without the known-good.
    """
    spec = await _declared(state, ports)
    if spec is None:
        return ""
    candidate, good = await _store(state, (state["commit"], known_good), ports)
    named = Versions(spec.kind, candidate=candidate, known_good=good)
    await ports.versions.pin(state["flag"], named.known_good, named.candidate)
    return canonical(named.as_json()).decode()


async def settle(state: FlowState, ports: Ports) -> None:
    """Make the candidate what callers get whenever nobody can say otherwise."""
    if named := versions_in(state.get("versions", "")):
        await ports.versions.pin(state["flag"], named.candidate)


async def go_back(state: FlowState, ports: Ports) -> tuple[Event, ...]:
    """Make the version before it what callers get; it may be repeated, and what fails here stops nothing.

    A known-good that the store lost is read from git again.
    """
    named = versions_in(state.get("versions", ""))
    if named is None:
        return ()
    try:
        try:
            await ports.versions.pin(state["flag"], named.known_good)
        except IntegrityError:
            await _restored(state, named.known_good, ports)
            await ports.versions.pin(state["flag"], named.known_good)
    except EvoguardError as err:
        return (Event("version.not_pinned", {"code": err.code}, reason=err.message),)
    return ()


async def _restored(state: FlowState, lost: Digest, ports: Ports) -> None:
    """Put a version that the store lost into it again, from the commit that holds it. Raises: EvoguardError."""
    refs = await ports.forge.refs(state["repo"], state["component"], state["branch"])
    # Once this release was promoted, known-good is its own commit, and the one before it holds the version.
    for commit in (refs.known_good, refs.previous):
        if commit and lost in await _store(state, (commit,), ports):
            return
    raise IntegrityError("no known-good commit holds it any more", code="version.unknown")


def shown(text: str) -> dict[str, Json]:
    """Return what an event says about the versions."""
    named = versions_in(text)
    return {"versions": named.as_json()} if named else {}


async def _declared(state: FlowState, ports: Ports) -> VersionFiles | None:
    component = (await load(ports, state["impact"]))["component"]
    assert isinstance(component, dict)  # noqa: S101  (our own document, proved by digest)
    return declared(component.get("version"))


async def _store(state: FlowState, commits: tuple[str, ...], ports: Ports) -> tuple[Digest, ...]:
    """Put the version of each commit into the store, and return their digests. Raises: EvoguardError."""
    spec = await _declared(state, ports)
    if spec is None:
        raise IntegrityError("this change rolls out no version", code="version.undeclared")
    found = [await _at(state["repo"], state["component"], spec, commit, ports) for commit in commits]
    return tuple([await ports.versions.keep(version.packed()) for version in found])


async def _at(repo: str, component: str, spec: VersionFiles, commit: str, ports: Ports) -> Version:
    found = {path: await ports.sources.file(repo, CommitId(commit), path) for path in spec.files}
    return version_of(component, spec, found)
