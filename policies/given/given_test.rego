# METADATA
# title: What the rules' tests start from
# description: One question that is allowed at each stage, and short ways to ask a changed one.
# authors: [evoguard]
package evoguard_test.given

file := {
	"path": "lending/scoring.py",
	"old_path": "",
	"status": "modified",
	"added": 3,
	"deleted": 1,
	"binary": false,
	"mode_old": "100644",
	"mode_new": "100644",
	"size": 900,
}

hit := {
	"rule": "python.decoded_code",
	"severity": "error",
	"path": "lending/scoring.py",
	"line": 7,
	"msg": "code is run that was decoded from data",
}

taken_back := {"change": "ch-before", "at": 1789990000}

open_change := {"change": "ch-other", "author": "rival", "paths": ["lending/scoring.py"]}

feature := {"name": "lines", "value": 60, "points": 60, "hard": false, "note": ""}

dependency := {
	"ecosystem": "PyPI",
	"name": "requests",
	"version": "2.31.0",
	"before": "2.30.0",
	"change": "changed",
	"path": "requirements.lock",
	"line": 3,
	"origin": "index",
	"where": "",
	"pinned": "digest",
	"pinned_before": "",
	"scripts": false,
	"alike": "",
	"how": "",
	"licence": "Apache-2.0",
	"licences": [["Apache-2.0"]],
	"alias": "",
	"own": false,
}

fault := {"path": "requirements.lock", "line": 3, "why": "no requirement", "kind": "unreadable"}

vulnerable := {
	"id": "GHSA-0000-0000-0000",
	"severity": "high",
	"ecosystem": "PyPI",
	"name": "requests",
	"version": "2.31.0",
	"path": "requirements.lock",
	"line": 3,
}

weaker := {"rule": "tests.skipped", "path": "tests/test_a.py", "line": 3, "msg": "test_a: skip"}

capability := {"rule": "capability.network", "path": "lending/scoring.py", "line": 1, "msg": "it reaches other machines"}

blob := {"rule": "blob.minified", "path": "static/a.min.js", "line": 1, "msg": "lines that nobody reads"}

brings(changes) := reviewed({"dependencies": [object.union(dependency, changes)]})

replayed(changes) := reviewed({"regression": object.union(replay, changes)})

replay := {
	"digest": "sha256:regression",
	"declared": 1,
	"status": "complete",
	"asked": 2,
	"answered": 2,
	"omitted": 0,
	"findings": [],
}

secret := {"rule": "aws-key", "path": "lending/scoring.py", "line": 7}

set_aside := {"test": "tests/test_a.py::test_a", "until": 1790086400, "reason": "reads the clock", "owner": "ada"}

approval := {
	"by": "ada",
	"kind": "person",
	"digest": "sha256:question",
	"at": 1790000000,
	"expires": 1790003600,
	"verdict": "approve",
	"model": "",
}

review := {
	"v": 1,
	"stage": "review",
	"now": 1790000100,
	"change": {
		"id": "ch-0123456789ab",
		"repo": "lending",
		"base": "b0",
		"head": "c1",
		"tree": "d2",
		"intent": "",
		"component": "scoring",
	},
	"files": [file],
	"totals": {"files": 1, "added": 3, "deleted": 1, "omitted": 0},
	"impact": {
		"floor": 80,
		"risk": 80,
		"features": [feature],
		"known": true,
		"unknown": [],
		"dependants": 2,
		"tests": 1,
		"components": ["scoring"],
	},
	"author": {"id": "coder", "kind": "agent", "held": false, "sponsors": ["dora"], "model": "maker/large-1"},
	"owners": [],
	"prior": {"reverted": [], "open": [], "omitted": 0},
	"component": {
		"name": "scoring",
		"flag": "lending-scoring",
		"kpis": ["errors"],
		"quorum": 1,
		"stages": [1, 10, 50, 100],
	},
	"evidence": {
		"digest": "sha256:evidence",
		"passed": true,
		"isolation": "gvisor",
		"behaviour": "recorded",
		"assurance": "split",
		"expected": 12,
		"run": 12,
		"failed": 0,
		"split": 9,
		"unstable": [],
		"review": [],
	},
	"quarantine": [],
	"secrets": [],
	"scan": {"digest": "sha256:scan", "status": "complete", "omitted": 0, "unread": []},
	"hits": [],
	"inspection": {"digest": "sha256:inspection", "status": "complete", "omitted": 0},
	"dependencies": [],
	"faults": [],
	"vulnerable": [],
	"advisories": {"status": "present", "digest": "sha256:db", "imported": 1790000000, "newest": 1790000000, "entries": 9},
	"weakened": [],
	"blobs": [],
	"capabilities": [],
	"regression": {"digest": "", "declared": 0, "status": "none", "asked": 0, "answered": 0, "omitted": 0, "findings": []},
	"sbom": {"base": "sha256:old", "head": "sha256:new", "difference": "sha256:diff"},
	"approvals": [],
	"approval_digest": "",
	"tighten": {"guard": [], "max_files": 0, "max_lines": 0, "quorum": 0, "seats": 0, "assurance": "", "split_percent": 0},
	"policy": {"bundle": "sha256:bundle", "reviewed_bundle": ""},
}

admit := object.union(review, {
	"stage": "admit",
	"approvals": [approval],
	"approval_digest": "sha256:question",
	"policy": {"reviewed_bundle": "sha256:bundle"},
})

reviewed(changes) := judged_at_review(object.union(review, changes))

admitted(changes) := judged_at_admit(object.union(admit, changes))

# METADATA
# description: |
#   What rules say is judged as if nothing were exempt and no rule in shadow, whatever data.json holds: a rule's tests
#   stay as they are while it is phased in. A test of exemptions brings its own, `with data.tried.exemptions as [...]`.
judged_at_review(question) := decision if {
	decision := data.evoguard.review with input as question
		with data.exemptions as exemptions
		with data.shadow as shadow
}

judged_at_admit(question) := decision if {
	decision := data.evoguard.admit with input as question
		with data.exemptions as exemptions
		with data.shadow as shadow
}

default exemptions := []

exemptions := data.tried.exemptions

default shadow := []

shadow := data.tried.shadow

with_file(changes) := {"files": [object.union(file, changes)]}

with_approvals(changes) := {"approvals": [object.union(approval, change) | some change in changes]}

denies(decision, code) if {
	decision.allow == false
	some finding in decision.deny
	finding.code == code
}

denies_term(decision, code, term) if {
	decision.allow == false
	some finding in decision.deny
	finding.code == code
	finding.term == term
}

denies_field(decision, field) if {
	decision.allow == false
	some finding in decision.deny
	finding.code == "input.incomplete"
	finding.path == field
}

allows(decision) if {
	decision.allow == true
	decision.deny == set()
}

voted(changes) := admitted(with_approvals(changes))

counted(changes) := reviewed({"totals": changes})

proved(changes) := reviewed({"evidence": changes})

scanned(changes) := reviewed({"scan": changes})
