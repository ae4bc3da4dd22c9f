"""The gates of a release: what a stranger would object to, one tree, one branch, one rollout, one flag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evoguard.adapters import keys
from evoguard.adapters.signer import LocalSigner
from evoguard.domain.attestation import MAX_AGE_S, check_vsa, vsa_statement
from evoguard.domain.canonical import Digest, Json, as_digest, digest_of
from evoguard.domain.change import Author, CommitId, Proposal, TreeId
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen, git
from evoguard.exam.surgery import Cut
from evoguard.ports.forge import Publication

VSA, MOVES = "evoguard.domain.attestation", "evoguard.adapters.git.moves"
RULES, VERIFIER, NOW = digest_of(b"rules"), "evoguard:exam", 1_800_000_000
TREE = "c" * 40
OTHER = "d" * 40


async def _judged(hall: Hall, by: LocalSigner | None = None, **claimed: object) -> Seen:
    """Sign a summary that claims this, and read it as the release step does."""
    proposal = Proposal("r", CommitId("a" * 40), CommitId("b" * 40), TreeId(TREE), "x", Author("coder", "agent"))
    facts: dict[str, object] = {
        "proposal": proposal, "branch": "release/x", "policy": RULES, "inputs": {"evidence": digest_of(b"seen")},
        "passed": True, "verifier": VERIFIER, "at_s": NOW,
    }  # fmt: skip
    statement = vsa_statement(**{**facts, **claimed})  # type: ignore[arg-type]  # real names, given by attacks
    read = await hall.signer.verify(await (by or hall.signer).attest(statement))
    found = check_vsa(read, tree=TREE, policy=RULES, verifier=VERIFIER, now_s=NOW)
    return Seen(not found, ", ".join(finding.code for finding in found) or "believed")


async def foreign_summary(hall: Hall) -> Seen:
    """A summary that another key signed."""
    public = keys.public_pem(keys.load_private(hall.folder / "mallory.key").public_key())
    return await _judged(hall, LocalSigner(hall.folder / "mallory.key", public))


async def other_tree(hall: Hall) -> Seen:
    """A summary of another tree opens the gate for this one."""
    proposal = Proposal("r", CommitId("a" * 40), CommitId("b" * 40), TreeId(OTHER), "x", Author("coder", "agent"))
    return await _judged(hall, proposal=proposal)


async def other_guard(hall: Hall) -> Seen:
    """A summary of another installation is brought here."""
    return await _judged(hall, verifier="evoguard:elsewhere")


async def other_policies(hall: Hall) -> Seen:
    """A summary that was made under other rules."""
    return await _judged(hall, policy=digest_of(b"milder"))


async def failed_summary(hall: Hall) -> Seen:
    """A FAILED summary opens the gate."""
    return await _judged(hall, passed=False)


async def old_summary(hall: Hall) -> Seen:
    """A summary of last month."""
    return await _judged(hall, at_s=NOW - 30 * MAX_AGE_S)


async def summary_of_tomorrow(hall: Hall) -> Seen:
    """A summary that is dated ahead, so as never to be old."""
    return await _judged(hall, at_s=NOW + MAX_AGE_S)


async def empty_summary(hall: Hall) -> Seen:
    """A summary that rests on no evidence."""
    return await _judged(hall, inputs={})


async def summary_of_another_change(hall: Hall) -> Seen:
    """The stored summary is replaced by one of another tree, signed by the service itself, before the release."""
    change = await hall.submit()
    original = vsa_statement

    def swapped(**facts: object) -> dict[str, Json]:
        proposal = facts["proposal"]
        assert isinstance(proposal, Proposal)  # noqa: S101  (as the step names it)
        return original(**{**facts, "proposal": replace(proposal, tree=TreeId(OTHER))})  # type: ignore[arg-type]

    import evoguard.flow.sign as step

    vars(step)["vsa_statement"] = swapped
    try:
        return await hall.carried(change)
    finally:
        vars(step)["vsa_statement"] = original


async def edited_artifact(hall: Hall) -> Seen:
    """Stored evidence is edited on the disk after the review: red becomes green."""
    change = await hall.submit()
    await hall.drive(change)
    record = await hall.record(change)
    question = record["question"]
    assert isinstance(question, Mapping)  # noqa: S101  (our own record)
    evidence = question["evidence"]
    assert isinstance(evidence, Mapping)  # noqa: S101
    digest = str(evidence["digest"]).removeprefix("sha256:")
    path = hall.settings.state / "artifacts" / "sha256" / digest[:2] / digest[2:]
    path.write_bytes(path.read_bytes().replace(b'"run":3', b'"run":9').replace(b'"expected":3', b'"expected":9'))
    got = await hall.opened.artifacts.get(as_digest(f"sha256:{digest}"))
    return Seen(True, f"read {len(got)} edited bytes")


async def _published(hall: Hall) -> tuple[str, Publication]:
    """Return a change that waits for its release, and its publication."""
    brought = await hall.desk.mirror.fetch(hall.origin(), head="topic", base="main")
    await hall.desk.mirror.pin(brought.repo, "ch-0123456789ab", brought.base, brought.head)
    what = Publication(
        brought.repo, "scoring", "release/scoring", "ch-0123456789ab", CommitId(brought.base), CommitId(brought.head),
        TreeId(brought.tree), "better", 1_800_000_000, 0,
    )  # fmt: skip
    return brought.repo, what


def _repo(hall: Hall, repo: str) -> Path:
    return hall.settings.repos_dir / f"{repo}.git"


async def untested_tree(hall: Hall) -> Seen:
    """A publication names the tested head and a tree that was never tested."""
    repo, what = await _published(hall)
    base_tree = git("--git-dir", str(_repo(hall, repo)), "rev-parse", f"{what.base}^{{tree}}")
    return Seen(True, await hall.driver.ports.forge.publish(replace(what, tree=TreeId(base_tree))))


async def moved_branch(hall: Hall) -> Seen:
    """The release branch moved after the approval, and the candidate would undo what came in between."""
    repo, what = await _published(hall)
    await hall.driver.ports.forge.publish(what)
    gitdir = ("--git-dir", str(_repo(hall, repo)))
    git(*gitdir, "update-ref", "-d", "refs/evoguard/rollout/scoring")
    return Seen(True, await hall.driver.ports.forge.publish(replace(what, change="ch-ffffffffffff", message="again")))


async def second_rollout(hall: Hall) -> Seen:
    """A second candidate is published while a first one is being watched."""
    repo, what = await _published(hall)
    await hall.driver.ports.forge.publish(what)
    git("--git-dir", str(_repo(hall, repo)), "update-ref", "refs/heads/release/scoring", what.base)
    return Seen(True, await hall.driver.ports.forge.publish(replace(what, change="ch-ffffffffffff", message="again")))


async def promoted_after_revert(hall: Hall) -> Seen:
    """A rollout that was closed by a revert becomes known-good all the same."""
    repo, what = await _published(hall)
    commit = await hall.driver.ports.forge.publish(what)
    git("--git-dir", str(_repo(hall, repo)), "update-ref", "-d", "refs/evoguard/rollout/scoring")
    await hall.driver.ports.forge.promote(what, commit)
    refs = await hall.driver.ports.forge.refs(repo, "scoring", "release/scoring")
    return Seen(refs.known_good == commit, "promoted")


async def flag_of_another_change(hall: Hall) -> Seen:
    """A change of another repository takes the flag of one that is not over."""
    first = await hall.submit()
    await hall.drive(first)
    await hall.driver.ports.flags.claim("scoring", first)
    await hall.driver.ports.flags.claim("scoring", "ch-ffffffffffff")
    return Seen(True, "claimed")


async def flag_without_name(hall: Hall) -> Seen:
    """A release claims a flag that no server could serve."""
    await hall.driver.ports.flags.claim("", "ch-0123456789ab")
    return Seen(True, "claimed")


async def effect_twice(hall: Hall) -> Seen:
    """A worker that crashed after an effect makes it once more."""
    done: list[str] = []

    async def effect() -> str:
        done.append("made")
        return "made"

    for _ in range(2):
        await hall.driver.ports.effects.once("publish/ch-0123456789ab", effect)
    return Seen(len(done) > 1, f"made {len(done)} times")


_UNSEAL = "key.verify(signature, pae(kind, body), ec.ECDSA(hashes.SHA256()))"
_FENCE = "tip not in ('', what.base) or (not tip and known_good not in ('', what.base))"
POLICY: Digest = RULES
GATES = (
    Gate("summary.signature", Cut("evoguard.adapters.dsse:unseal", _UNSEAL, "None"), foreign_summary, "bundle.invalid"),
    Gate("summary.tree", Cut(f"{VSA}:_check_subjects", "not tree or trees != [tree]"), other_tree,
         "attestation.subject"),
    Gate("summary.verifier", Cut(f"{VSA}:_check_who", "not verifier or found != verifier"), other_guard,
         "attestation.verifier"),
    Gate("summary.policy", Cut(f"{VSA}:_check_policy", "_digest(policy.get('digest')) not in allowed"), other_policies,
         "attestation.policy"),
    Gate("summary.result", Cut(f"{VSA}:_check_result", "predicate.get('verificationResult') != result"), failed_summary,
         "attestation.result", ("summary.levels",)),
    Gate("summary.levels", Cut(f"{VSA}:_check_result", "claimed is not (result == 'PASSED')"), failed_summary,
         "attestation.levels", ("summary.result",)),
    Gate("summary.age", Cut(f"{VSA}:_check_time", "now_s - at_s > max_age_s"), old_summary, "attestation.stale"),
    Gate("summary.future", Cut(f"{VSA}:_check_time", "at_s > now_s + SKEW_S"), summary_of_tomorrow, "attestation.time"),
    Gate("summary.evidence", Cut(f"{VSA}:_check_inputs", "not digests or None in digests"), empty_summary,
         "attestation.inputs"),
    Gate("release.summary", Cut("evoguard.flow.release:release",
         "await _doubts(state, ports) or await _claim(state, ports)", "await _claim(state, ports)"),
         summary_of_another_change, "attestation.subject"),
    Gate("artifacts.digest", Cut("evoguard.adapters.artifacts:FileArtifacts._get", "digest_of(raw) != digest"),
         edited_artifact, "artifact.changed"),
    Gate("release.tree", Cut("evoguard.adapters.git.forge:_prove",
         "found != [f'tree {what.tree}', f'commit {what.base}']"), untested_tree, "release.tree"),
    Gate("release.base_moved", Cut(f"{MOVES}:fence", _FENCE), moved_branch, "fenced.base_moved", ("release.swap",)),
    Gate("release.swap", Cut(f"{MOVES}:publishing", "f'update {names.tip} {commit} {what.base}'",
         "f'update {names.tip} {commit}'"), moved_branch, "unavailable", ("release.base_moved",)),
    Gate("release.one_rollout", Cut(f"{MOVES}:fence", "rollout not in ('', commit)"), second_rollout,
         "fenced.rollout_open"),
    Gate("promote.open", Cut(f"{MOVES}:promoting", "rollout != commit"), promoted_after_revert, "fenced.rollout_closed",
         ("promote.delete",)),
    Gate("promote.delete", Cut(f"{MOVES}:promoting", "f'delete {names.rollout} {commit}'",
         "f'verify {names.rollout}-none {_ZERO}'"), promoted_after_revert, "unavailable", ("promote.open",)),
    Gate("flags.one_change", Cut("evoguard.adapters.sqlite.flags:_must_be_free", "row is not None"),
         flag_of_another_change, "flag.taken"),
    Gate("flags.names", Cut("evoguard.adapters.sqlite.flags:SqliteFlags.claim",
         "is_flag_name(flag) and is_flag_name(change)", "True"), flag_without_name, "flag.invalid"),
    Gate("effects.once", Cut("evoguard.adapters.sqlite.effects:SqliteEffects.once", "row is not None and row[0]"),
         effect_twice, "made 1 times"),
)  # fmt: skip
