"""A whole question about a change of so many files, for benches; the rules allow it up to their limit of files."""

from __future__ import annotations

from typing import Any

NOW = 1_790_000_100


def question(files: int, *, change: str = "ch-0123456789ab") -> dict[str, Any]:
    """Return the question that is asked before people are, about a change of `files` plain files."""
    return {
        "v": 1, "stage": "review", "now": NOW,
        "change": {"id": change, "repo": "bench", "base": "b0", "head": "c1", "tree": "d2", "intent": "",
                   "component": "scoring"},
        "files": [
            {"path": f"lending/part_{n}.py", "old_path": "", "status": "modified", "added": 3, "deleted": 1,
             "binary": False, "mode_old": "100644", "mode_new": "100644", "size": 900}
            for n in range(files)
        ],
        "totals": {"files": files, "added": 3 * files, "deleted": files, "omitted": 0},
        "impact": {"floor": 80, "risk": 80, "known": True, "unknown": [], "dependants": 2, "tests": 1,
                   "components": ["scoring"],
                   "features": [{"name": "lines", "value": 60, "points": 60, "hard": False, "note": ""}]},
        "author": {"id": "coder", "kind": "agent", "held": False, "sponsors": ["dora"], "model": "maker/large-1"},
        "owners": [], "prior": {"reverted": [], "open": [], "omitted": 0},
        "component": {"name": "scoring", "flag": "lending-scoring", "kpis": ["errors"], "quorum": 1,
                      "stages": [1, 10, 50, 100]},
        "evidence": {"digest": "sha256:evidence", "passed": True, "isolation": "gvisor", "behaviour": "recorded",
                     "assurance": "split", "expected": 12, "run": 12, "failed": 0, "split": 9, "unstable": [],
                     "review": []},
        "secrets": [], "hits": [],
        "scan": {"digest": "sha256:scan", "status": "complete", "omitted": 0, "unread": []},
        "inspection": {"digest": "sha256:inspection", "status": "complete", "omitted": 0},
        "dependencies": [], "faults": [], "vulnerable": [], "weakened": [], "blobs": [], "capabilities": [],
        "advisories": {"status": "present", "digest": "sha256:db", "imported": NOW - 100, "newest": NOW - 100,
                       "entries": 9},
        "regression": {"digest": "", "declared": 0, "status": "none", "asked": 0, "answered": 0, "omitted": 0,
                       "findings": []},
        "sbom": {"base": "sha256:old", "head": "sha256:new", "difference": "sha256:difference"},
        "approvals": [], "approval_digest": "", "quarantine": [],
        "tighten": {"guard": [], "max_files": 0, "max_lines": 0, "quorum": 0, "seats": 0, "assurance": "",
                    "split_percent": 0},
        "policy": {"bundle": "sha256:bundle", "reviewed_bundle": ""},
    }  # fmt: skip
