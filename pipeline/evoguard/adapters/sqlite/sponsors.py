"""Registrations proved again: every identity after the first person carries the signatures that it needed then."""

from __future__ import annotations

from dataclasses import dataclass, field

from evoguard.adapters.signer import read_command
from evoguard.domain.events import StoredEvent
from evoguard.domain.identity import Identity, Vouch, added_in, counted, sponsors_needed, vouches_in

STREAM = "registry"


@dataclass(slots=True)
class Registrations:
    """Who is registered so far, by the log alone; feed it every event in order."""

    people: dict[str, Identity] = field(default_factory=dict)
    """Only those whose registration proves: who was written in past the front desk speaks for nothing."""
    names: set[str] = field(default_factory=set)

    def problem(self, item: StoredEvent) -> str:
        """Take in one event; return what is wrong with it as a registration, or an empty text."""
        added = added_in(item.event)
        if added is None:
            return ""
        where = f"{item.stream} version {item.version}: {added.kind} {added.name[:60]}"
        if item.stream != STREAM:
            return f"{where} was registered outside the registry"
        if added.name in self.names:
            return f"{where} was registered before"
        needed = sponsors_needed(added.kind, people=len(self.people), first=not self.people)
        voices = {v.by for v in vouches_in(item.event) if self._counts(v, at_s=item.at // 1000)}
        if len(voices) < needed:
            return f"{where} was registered with {len(voices)} of {needed} signatures of registered people"
        self.names.add(added.name)
        if added.kind == "person":
            self.people[added.name] = added
        return ""

    def _counts(self, vouch: Vouch, *, at_s: int) -> bool:
        """Tell whether a vouch counted when the event was written, with the key that earlier events registered."""
        return counted(vouch, self.people.get(vouch.by), read_command, now_s=at_s) is not None
