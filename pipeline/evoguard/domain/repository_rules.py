"""A repository's own rules: named by its base commit, signed by a person, and able to refuse only.

Source: docs/adr/0011-a-repositorys-own-rules.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evoguard.domain.canonical import Digest, Json, as_digest
from evoguard.domain.identity import is_name
from evoguard.domain.verdict import Decision, Finding

BUNDLE_TYPE = "application/vnd.evoguard.bundle+json"
"""The payload type of a bundle's signature; the payload is canonical JSON {"bundle": digest}."""
KEYS = ("path", "bundle", "signer")
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\Z")


@dataclass(frozen=True, slots=True)
class NamedRules:
    """What `[policy.rules]` of the component file at the base names: a folder, its digest, who signed it."""

    path: str
    bundle: Digest
    signer: str

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {"path": self.path, "bundle": self.bundle, "signer": self.signer}


@dataclass(frozen=True, slots=True)
class RepositoryVerdict:
    """What a repository's own rules say. `decision` is None when they gave no verdict; `why` then refuses."""

    named: NamedRules
    decision: Decision | None = None
    why: Finding | None = None

    def over(self, decision: Decision) -> Decision:
        """Return the decision with what these rules add: refusals, people's eyes, a higher quorum. Never an allow."""
        own = self.decision
        if own is None:
            more = (self.why or Finding("repository.no_verdict", "the repository's own rules gave no verdict"),)
            return replace(decision, allow=False, deny=(*decision.deny, *more))
        deny = _with(decision.deny, own.deny)
        return replace(
            decision, allow=decision.allow and own.allow and not own.deny, deny=deny,
            escalate=_with(decision.escalate, own.escalate), notes=_with(decision.notes, own.notes),
            quorum=max(decision.quorum, own.quorum),
        )  # fmt: skip

    def as_json(self) -> dict[str, Json]:
        """Return what is stored beside the decision, so that it can be made again."""
        return {
            **self.named.as_json(),
            "decision": self.decision.as_json() if self.decision is not None else None,
            "why": self.why.as_json() if self.why is not None else None,
        }


def named_rules(value: object) -> NamedRules | None:
    """Return what a table {path, bundle, signer} names; None when there is no table.

    Raises: ValueError with the words for a person for anything else: rules that cannot be told are not left out.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) != set(KEYS) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError("policy.rules is a table of path, bundle and signer, all texts")
    path, bundle, signer = (str(value[key]) for key in KEYS)
    if len(path) > 200 or not _PATH.match(path):
        raise ValueError("policy.rules: path is a folder of this repository, of letters, digits, dot, dash and _")
    if not is_name(signer):
        raise ValueError("policy.rules: signer is the name of a registered person")
    try:
        return NamedRules(path, as_digest(bundle), signer)
    except ValueError as err:
        raise ValueError("policy.rules: bundle is the digest that `evoguard policy build` told") from err


def _with(said: tuple[Finding, ...], more: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return (*said, *(finding for finding in more if finding not in said))
