"""The rules that a repository brings itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evoguard.domain.canonical import Json
from evoguard.domain.change import CommitId
from evoguard.domain.repository_rules import NamedRules, RepositoryVerdict
from evoguard.domain.verdict import PolicyStage


class RepositoryRules(Protocol):
    """Asked beside the rules in force; what they cannot answer is a refusal, never an error that is passed over."""

    async def ask(
        self, repo: str, base: CommitId, named: NamedRules, stage: PolicyStage, question: Mapping[str, Json]
    ) -> RepositoryVerdict:
        """Return what the named bundle of the base commit says to the question, or the finding that refuses.

        Raises: UnavailableError when git or the store gives no answer; the gate stays shut and is tried again.
        """
