"""GitHub workflows, actions and compose files: the actions and images that they use."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml  # type: ignore[import-untyped]  # the package has no types of its own

from evoguard.supply.images import image
from evoguard.supply.types import Dependency, Fault, Read, decoded, file, short

MOST_BYTES, MOST_NODES, MOST_DEPTH = 512 << 10, 50_000, 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_ACTION = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(?:/[^@\s]+)?\Z")


def read(path: str, data: bytes) -> Read:
    """Return each `uses` and each image; a key that stands twice, or an alias, is a fault: readers differ on them.

    The document is looked at as nodes; nothing is constructed from it.
    """
    text = decoded(path, data)
    if isinstance(text, Fault):
        return Read(faults=(text,))
    if len(data) > MOST_BYTES:
        return Read(faults=(Fault(path, "too big to be read"),))
    found: list[Dependency] = []
    faults: list[Fault] = []
    try:
        if odd := forbidden(path, text, MOST_NODES, MOST_DEPTH):
            return Read(faults=(odd,))
        for root in yaml.compose_all(text, Loader=_LOADER):
            for key, node, line in _scalars(path, root, faults):
                file(_used(key, node, path, line), found, faults)
    except (yaml.YAMLError, RecursionError, ValueError) as err:
        return Read(faults=(Fault(path, f"not YAML: {short(type(err).__name__, 60)}"),))
    return Read(tuple(found), tuple(faults))


def forbidden(path: str, text: str, most_nodes: int, most_depth: int) -> Fault | None:
    """Return what forbids to compose the document, by its events alone: they are read one by one, however deep."""
    loader, depth, count = _LOADER(text), 0, 0
    try:
        while loader.check_event():
            event, count = loader.get_event(), count + 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                return Fault(path, "an alias: readers put different things there", event.start_mark.line + 1)
            if depth > most_depth or count > most_nodes:
                return Fault(path, "too deep or too much to be read")
    finally:
        loader.dispose()
    return None


def _scalars(path: str, root: yaml.Node | None, faults: list[Fault]) -> Iterator[tuple[str, str, int]]:
    """Yield (key, text, line) of every text below a key, however deep."""
    todo: list[yaml.Node] = [root] if root is not None else []
    while todo:
        node = todo.pop()
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
                if name in keys:
                    faults.append(Fault(path, f"the key {short(name, 60)} stands twice", key.start_mark.line + 1))
                keys.add(name)
                todo.append(value)
                if isinstance(value, yaml.ScalarNode):
                    yield name, str(value.value), value.start_mark.line + 1


def _used(key: str, value: str, path: str, line: int) -> Dependency | Fault | None:
    value = value.strip()
    if key in ("image", "container"):
        if value.startswith("docker://"):
            return image(value.removeprefix("docker://"), path, line)
        return None if value in ("", "Dockerfile") or value.startswith("./") else image(value, path, line)
    if key != "uses" or value.startswith(("./", "../")):
        return None
    if value.startswith("docker://"):
        return image(value.removeprefix("docker://"), path, line)
    name, at, ref = value.partition("@")
    if not _ACTION.match(name):
        return Fault(path, f"no action: {short(value, 80)}", line)
    project = "/".join(name.split("/")[:2])
    firm = bool(at) and bool(_COMMIT.match(ref))
    return Dependency(
        "GitHub Actions", project.lower(), name, path, line, "", short(value), pinned="digest" if firm else "floating",
        digests=(ref,) if firm else (),
    )  # fmt: skip
