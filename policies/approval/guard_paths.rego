# METADATA
# title: Guard paths need people
# description: A change that touches the guard itself is never an agent's; a person's needs approvals from distinct people.
# custom: {code: approval.guard_paths, severity: constitution, source: "policies/README.md#approval"}
# authors: [evoguard]
package evoguard.rules.approval.guard_paths

import data.evoguard.lib

code := "approval.guard_paths"

deny contains lib.finding(code, "an agent may not touch a guard path", path, lib.at(["author", "kind"])) if {
	not input.author.kind == "person"
	some path in lib.guarded
}

deny contains lib.finding(code, $"a guard path needs {data.guard.people} people", path, $"{count(lib.people)}") if {
	not input.stage == "review"
	not enough_people
	some path in lib.guarded
}

escalate contains lib.finding(code, $"a guard path needs {data.guard.people} people", path, "") if {
	input.stage == "review"
	input.author.kind == "person"
	some path in lib.guarded
}

enough_people if count(lib.people) >= data.guard.people
