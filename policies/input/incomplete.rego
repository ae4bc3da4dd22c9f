# METADATA
# title: The question is incomplete
# description: |
#   A field that is missing or of another type denies, naming the field: every other rule would fall silent on it.
#   `code` texts may not be empty, `word` texts are one of a list, `count` is a whole number from 0 up.
# custom: {code: input.incomplete, severity: constitution, source: "policies/README.md#a-complete-question"}
# authors: [evoguard]
package evoguard.rules.input.incomplete

import data.evoguard.lib

deny contains lib.finding("input.incomplete", "a field is missing or of another type", field, "") if {
	some field in unreadable
}

kinds := {
	"v": "one",
	"stage": "stage",
	"now": "count",
	"change.id": "code",
	"change.repo": "code",
	"change.base": "code",
	"change.head": "code",
	"change.tree": "code",
	"change.intent": "text",
	"change.component": "text",
	"files": "list",
	"totals.files": "count",
	"totals.added": "count",
	"totals.deleted": "count",
	"totals.omitted": "count",
	"impact.floor": "points",
	"impact.risk": "points",
	"impact.features": "list",
	"impact.known": "flag",
	"impact.unknown": "codes",
	"impact.dependants": "count",
	"impact.tests": "count",
	"impact.components": "codes",
	"author.id": "code",
	"author.kind": "actor",
	"author.held": "flag",
	"author.sponsors": "codes",
	"author.model": "text",
	"owners": "list",
	"prior.reverted": "list",
	"prior.open": "list",
	"prior.omitted": "count",
	"component.name": "text",
	"component.flag": "text",
	"component.kpis": "codes",
	"component.quorum": "count",
	"component.stages": "counts",
	"evidence.digest": "code",
	"evidence.passed": "flag",
	"evidence.isolation": "text",
	"evidence.behaviour": "behaviour",
	"evidence.assurance": "assurance",
	"evidence.expected": "count",
	"evidence.run": "count",
	"evidence.failed": "count",
	"evidence.split": "count",
	"evidence.unstable": "codes",
	"evidence.review": "codes",
	"quarantine": "list",
	"secrets": "list",
	"scan.digest": "text",
	"scan.status": "scanned",
	"scan.omitted": "count",
	"scan.unread": "codes",
	"hits": "list",
	"inspection.digest": "text",
	"inspection.status": "scanned",
	"inspection.omitted": "count",
	"dependencies": "list",
	"faults": "list",
	"vulnerable": "list",
	"advisories.status": "advised",
	"advisories.digest": "text",
	"advisories.imported": "count",
	"advisories.newest": "count",
	"advisories.entries": "count",
	"weakened": "list",
	"blobs": "list",
	"capabilities": "list",
	"regression.digest": "text",
	"regression.declared": "count",
	"regression.status": "replayed",
	"regression.asked": "count",
	"regression.answered": "count",
	"regression.omitted": "count",
	"regression.findings": "list",
	"sbom.base": "text",
	"sbom.head": "text",
	"sbom.difference": "text",
	"approvals": "list",
	"approval_digest": "at_admit",
	"tighten.guard": "globs",
	"tighten.max_files": "count",
	"tighten.max_lines": "count",
	"tighten.quorum": "count",
	"tighten.seats": "count",
	"tighten.assurance": "tighten_assurance",
	"tighten.split_percent": "percent",
	"policy.bundle": "code",
	"policy.reviewed_bundle": "at_admit",
}

item_kinds := {
	"files": {
		"path": "path",
		"old_path": "old_path",
		"status": "status",
		"added": "count",
		"deleted": "count",
		"binary": "flag",
		"mode_old": "text",
		"mode_new": "text",
		"size": "count",
	},
	"impact.features": {"name": "code", "value": "count", "points": "points", "hard": "flag", "note": "text"},
	"secrets": {"rule": "code", "path": "text", "line": "count"},
	"hits": {"rule": "code", "severity": "hit", "path": "text", "line": "count", "msg": "text"},
	"dependencies": {
		"ecosystem": "code",
		"name": "code",
		"version": "text",
		"before": "text",
		"change": "brought",
		"path": "text",
		"line": "count",
		"origin": "origin",
		"where": "text",
		"pinned": "pinned",
		"pinned_before": "pinned_before",
		"scripts": "flag",
		"alike": "text",
		"how": "alike",
		"licence": "text",
		"licences": "choices",
		"alias": "text",
		"own": "flag",
	},
	"faults": {"path": "text", "line": "count", "why": "code", "kind": "fault"},
	"vulnerable": {
		"id": "code",
		"severity": "severity",
		"ecosystem": "code",
		"name": "code",
		"version": "code",
		"path": "text",
		"line": "count",
	},
	"weakened": {"rule": "code", "path": "text", "line": "count", "msg": "text"},
	"blobs": {"rule": "code", "path": "text", "line": "count", "msg": "text"},
	"capabilities": {"rule": "code", "path": "text", "line": "count", "msg": "text"},
	"regression.findings": {"code": "code", "component": "text", "case": "text", "msg": "text"},
	"owners": {"path": "text", "names": "codes"},
	"prior.reverted": {"change": "code", "at": "count"},
	"prior.open": {"change": "code", "author": "code", "paths": "codes"},
	"quarantine": {"test": "code", "until": "count", "reason": "code", "owner": "code"},
	"approvals": {
		"by": "code",
		"kind": "actor",
		"digest": "code",
		"at": "count",
		"expires": "count",
		"verdict": "vote",
		"model": "text",
	},
}

words := {
	"stage": {"review", "admit"},
	"actor": {"agent", "person"},
	"behaviour": {"recorded", "incomplete", "not recorded"},
	"assurance": {"visible-only", "split", "held-out"},
	"tighten_assurance": {"", "visible-only", "split", "held-out"},
	"status": {"added", "modified", "deleted", "renamed", "typechange"},
	"vote": {"approve", "reject"},
	"scanned": {"complete", "incomplete", "not run"},
	"replayed": {"complete", "incomplete", "none", "not run"},
	"hit": {"error", "warning", "info"},
	"brought": {"added", "changed", "renamed", "rehashed"},
	"origin": {"index", "other-index", "mismatch", "insecure", "git", "url", "path"},
	"pinned": {"digest", "version", "floating"},
	"pinned_before": {"", "digest", "version", "floating"},
	"alike": {"", "other script", "same look", "one edit"},
	"fault": {"unreadable", "unsupported"},
	"severity": {"malicious", "critical", "high", "moderate", "low", "unknown"},
	"advised": {"present", "none", "damaged"},
}

unreadable contains field if {
	some field, kind in kinds
	not readable(kind, lib.at(split(field, ".")))
}

unreadable contains $"{list}[{at}].{field}" if {
	some list, fields in item_kinds
	some at, item in lib.at(split(list, "."))
	some field, kind in fields
	not readable(kind, lib.get(item, field))
}

# Data is part of the question: without its lists and numbers, rules would fall silent too.
unreadable contains "data" if not data_complete

data_complete if {
	counted := [
		data.limits.max_files,
		data.limits.max_lines,
		data.guard.people,
		data.evidence.quarantine_days,
		data.risk.escalate_from,
		data.supply.advisory_days,
	]
	every number in counted {
		whole(number)
	}
	every list in [data.guard.globs, data.evidence.isolations, data.change.locks, data.modes.plain, data.modes.script_suffixes, data.rules] {
		readable("codes", list)
		count(list) > 0
	}
	every step in data.risk.people {
		whole(step.from)
		whole(step.people)
	}
	every step in data.risk.first_percent {
		whole(step.from)
		whole(step.most)
	}
	every list in [data.evidence.regression_escalates, data.supply.licences, data.supply.licensed, data.supply.tolerated] { readable("codes", list) }
	approval_complete
	prior_complete
	named(data.modes.executable)
	data.evidence.assurance in words.assurance
}

prior_complete if {
	whole(data.prior.days)
	whole(data.prior.reverts)
}

approval_complete if {
	is_boolean(data.approval.sponsors_count)
	whole(data.approval.seats)
	is_object(data.approval.owners)
	every people in data.approval.owners { readable("codes", people) }
}

readable("one", 1)

readable("text", value) if is_string(value)

readable("code", value) if named(value)

readable("flag", value) if is_boolean(value)

readable("list", value) if is_array(value)

readable("count", value) if whole(value)

readable("points", value) if {
	whole(value)
	value <= 1000
}

readable("percent", value) if {
	whole(value)
	value <= 100
}

readable("counts", value) if {
	is_array(value)
	every item in value { whole(item) }
}

readable("codes", value) if {
	is_array(value)
	every item in value { named(item) }
}

readable("choices", value) if {
	is_array(value)
	every choice in value {
		is_array(choice)
		every item in choice { named(item) }
	}
}

readable("globs", value) if {
	is_array(value)
	every item in value { lib.readable_glob(item) }
}

# At review there is nothing to name yet.
readable("at_admit", value) if {
	is_string(value)
	input.stage == "review"
}

readable("at_admit", value) if named(value)

readable("path", value) if straight(value)

readable("old_path", "")

readable("old_path", value) if straight(value)

readable(kind, value) if value in words[kind]

named(value) if {
	is_string(value)
	value != ""
}

whole(value) if {
	is_number(value)
	value >= 0
	floor(value) == value
}

# A path without parts that mean another place on some file system.
straight(path) if {
	named(path)
	every part in ["//", "/./", "/../", "\\", "\n", "\r", "\t"] {
		not contains($"/{path}/", part)
	}
}
