"""The gates: pure functions from what is known to the next step. Anything that is not proved is shut.

A kill comes first at every gate.
"""

from __future__ import annotations

from evoguard.flow.state import FlowState

END = "__end__"


def after_intake(state: FlowState) -> str:
    """A proposal goes on only with its sender proved."""
    if state.get("killed"):
        return "revert"
    return "impact" if state.get("refused") is False else "refuse"


def after_impact(state: FlowState) -> str:
    """A change goes on only when what it touches could be read."""
    if state.get("killed"):
        return "revert"
    return "check" if state.get("refused") is False and state.get("impact") else "refuse"


def after_check(state: FlowState) -> str:
    """Only green evidence is judged; empty or missing evidence is not green."""
    if state.get("killed"):
        return "revert"
    return "judge" if state.get("passed") is True and state.get("evidence") else "refuse"


def after_judge(state: FlowState) -> str:
    """Only what the policies allow reaches people."""
    if state.get("killed"):
        return "revert"
    return "approve" if state.get("allow") is True and state.get("decision") else "refuse"


def after_approve(state: FlowState) -> str:
    """Signing needs the quorum on this exact digest; a reject or withdrawal ends the change; otherwise it waits.

    What was reviewed under other rules than those in force is checked again.
    """
    if state.get("killed"):
        return "revert"
    if state.get("rejected") or state.get("withdrawn"):
        return END
    if not state.get("bundle"):
        return "check"
    return "sign" if state.get("approved") is True else "approve"


def after_sign(state: FlowState) -> str:
    """Release needs an attestation, made after the policies admitted the change with its approvals."""
    if state.get("killed"):
        return "revert"
    return "release" if state.get("attestation") and state.get("refused") is False else "refuse"


def after_release(state: FlowState) -> str:
    """Watching needs a published commit; a queued change comes back to release."""
    if state.get("killed"):
        return "revert"
    if state.get("withdrawn"):
        return END
    if state.get("refused"):
        return "refuse"
    return "watch" if state.get("commit") else "release"


def after_watch(state: FlowState) -> str:
    """Known-good needs a completed rollout; an abort reverts; otherwise the watch goes on."""
    if state.get("killed") or state.get("aborted"):
        return "revert"
    return "known_good" if state.get("completed") is True else "watch"


def after_revert(state: FlowState) -> str:
    """A change is over when git is back; a branch that another hand moved keeps it open."""
    return END if state.get("outcome") else "revert"


def after_known_good(state: FlowState) -> str:
    """The change ends, unless a kill came in between."""
    return "revert" if state.get("killed") else END
