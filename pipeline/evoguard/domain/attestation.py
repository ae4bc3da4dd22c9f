"""The one attestation that opens a gate: a SLSA verification summary (VSA), built here and demanded here.

Source: slsa.dev/spec, Verification Summary Attestation v1; in-toto Statement v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from evoguard.domain.canonical import Digest, Json
from evoguard.domain.change import Proposal
from evoguard.domain.verdict import Finding

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
VSA_TYPE = "https://slsa.dev/verification_summary/v1"
LEVELS = ("ORG_SOURCE_TESTS_PASSED", "ORG_SOURCE_APPROVED")
"""What a PASSED summary claims; names of our own, as SLSA_ is for levels that this guard does not measure."""
MAX_AGE_S = 86_400
"""How old a summary may be; a release that waited longer is decided again."""
POLICY_URI = "evoguard:policies"
SKEW_S = 300
"""How far ahead another machine's clock may have been."""

Result = Literal["PASSED", "FAILED"]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")


def resource_uri(repo: str, branch: str) -> str:
    """Return the name of the release branch that a summary is about; without a branch, of the repository."""
    ref = f"@refs/heads/{quote(branch, safe='/')}" if branch else ""
    return f"git+evoguard:{quote(repo, safe='/')}{ref}"


def vsa_statement(  # noqa: PLR0913  (the facts of one decision, each named by its caller)
    *,
    proposal: Proposal,
    branch: str,
    policy: Digest,
    inputs: Mapping[str, Digest],
    passed: bool,
    verifier: str,
    at_s: int,
    commit: str = "",
) -> dict[str, Json]:
    """Return the in-toto statement of a decision; a FAILED one claims no level.

    `inputs` are the digests of all evidence by name, `commit` the published commit once known, `at_s` unix seconds.
    """
    subjects: list[Json] = [
        {"name": "head", "digest": {"gitCommit": proposal.head}},
        {"name": "tree", "digest": {"gitTree": proposal.tree}},
    ]
    if commit:
        subjects.append({"name": "published", "digest": {"gitCommit": commit}})
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": VSA_TYPE,
        "predicate": {
            "verifier": {"id": verifier},
            "timeVerified": datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resourceUri": resource_uri(proposal.repo, branch),
            "policy": {"uri": POLICY_URI, "digest": _sha256(policy)},
            "inputAttestations": [
                {"uri": f"evoguard:{name}", "digest": _sha256(inputs[name])} for name in sorted(inputs)
            ],
            "verificationResult": "PASSED" if passed else "FAILED",
            "verifiedLevels": list(LEVELS) if passed else ["FAILED"],
        },
    }


def check_vsa(  # noqa: PLR0913  (every demand is named by the reader; none may be forgotten silently)
    statement: Mapping[str, Json],
    *,
    tree: str,
    policy: Digest | frozenset[Digest],
    verifier: str,
    now_s: int,
    max_age_s: int = MAX_AGE_S,
    resource: str = "",
    result: Result = "PASSED",
) -> list[Finding]:
    """Return every reason not to rely on a statement whose signature was verified; an empty list means good.

    `policy` is the bundle's digest or the set of those allowed; `resource`, when given, is a `resource_uri`.
    Whatever is missing, doubled or of another type is a reason. Times in unix seconds.
    """
    if statement.get("_type") != STATEMENT_TYPE or statement.get("predicateType") != VSA_TYPE:
        return [_no("type", "not an in-toto statement with a verification summary")]
    predicate = _map(statement.get("predicate"))
    allowed = policy if isinstance(policy, frozenset) else frozenset({policy})
    checks = (
        _check_subjects(statement.get("subject"), tree),
        _check_who(_map(predicate.get("verifier")).get("id"), verifier),
        _check_resource(predicate.get("resourceUri"), resource),
        _check_policy(_map(predicate.get("policy")), allowed),
        _check_inputs(predicate.get("inputAttestations")),
        _check_result(predicate, result),
        _check_time(predicate.get("timeVerified"), now_s, max_age_s),
    )
    return [finding for found in checks for finding in found]


def _check_subjects(subjects: Json, tree: str) -> Iterable[Finding]:
    digests = [_map(_map(subject).get("digest")) for subject in _list(subjects)]
    trees = [digest["gitTree"] for digest in digests if "gitTree" in digest]
    if not tree or trees != [tree]:
        yield _no("subject", "the summary is not about this tree", term=tree)
    if not any(isinstance(digest.get("gitCommit"), str) for digest in digests):
        yield _no("subject", "the summary names no commit")


def _check_who(found: Json, verifier: str) -> Iterable[Finding]:
    if not verifier or found != verifier:
        yield _no("verifier", "somebody else verified", term=verifier)


def _check_resource(found: Json, resource: str) -> Iterable[Finding]:
    if resource and found != resource:
        yield _no("resource", "the summary is about another repository or branch", term=resource)


def _check_policy(policy: Mapping[str, Json], allowed: frozenset[Digest]) -> Iterable[Finding]:
    if _digest(policy.get("digest")) not in allowed:
        yield _no("policy", "decided under a policy bundle that is not allowed here")


def _check_inputs(inputs: Json) -> Iterable[Finding]:
    digests = [_digest(_map(entry).get("digest")) for entry in _list(inputs)]
    if not digests or None in digests:
        yield _no("inputs", "the summary names no evidence, or evidence without a digest")


def _check_result(predicate: Mapping[str, Json], result: Result) -> Iterable[Finding]:
    if predicate.get("verificationResult") != result:
        yield _no("result", f"the result is not {result}")
    levels = _list(predicate.get("verifiedLevels"))
    claimed = all(level in levels for level in LEVELS) and "FAILED" not in levels
    if claimed is not (result == "PASSED"):
        yield _no("levels", f"the levels do not fit the result {result}")


def _check_time(verified: Json, now_s: int, max_age_s: int) -> Iterable[Finding]:
    at_s = _seconds(verified)
    if at_s is None:
        yield _no("time", "the time of verification is missing or unreadable")
    elif at_s > now_s + SKEW_S:
        yield _no("time", "verified in the future")
    elif now_s - at_s > max_age_s:
        yield _no("stale", f"verified more than {max_age_s} s ago")


def _seconds(text: Json) -> int | None:
    if not isinstance(text, str) or not _TIME.match(text):
        return None
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _sha256(digest: Digest) -> dict[str, Json]:
    return {"sha256": digest.removeprefix("sha256:")}


def _digest(value: Json) -> Digest | None:
    text = _map(value).get("sha256")
    return Digest(f"sha256:{text}") if isinstance(text, str) and _HEX.match(text) else None


def _map(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _no(rule: str, msg: str, *, term: str = "") -> Finding:
    return Finding(f"attestation.{rule}", msg, term=term)
