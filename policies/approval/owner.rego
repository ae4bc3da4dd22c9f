# METADATA
# title: An owner of what is touched approved
# description: |
#   For each path that the base commit's CODEOWNERS gives to somebody, one of them is among the people who approved.
#   `data.approval.owners` says who stands behind a team or an address; `@ada` without an entry is the person `ada`.
# custom: {code: approval.owner, severity: deny, source: "policies/README.md#approval"}
# authors: [evoguard]
package evoguard.rules.approval.owner

import data.evoguard.lib

code := "approval.owner"

deny contains lib.finding(code, $"no owner of this path approved: {listed(owned)}", owned.path, "") if {
	not input.stage == "review"
	some owned in input.owners
	not approved(owned)
}

escalate contains lib.finding(code, $"an owner of this path is asked: {listed(owned)}", owned.path, "") if {
	input.stage == "review"
	some owned in input.owners
}

listed(owned) := concat(" ", owned.names)

approved(owned) if {
	some name in owned.names
	some member in members(name)
	lib.fold(member) in lib.people
}

members(name) := data.approval.owners[name]

members(name) := [trim_prefix(name, "@")] if {
	not data.approval.owners[name]
	startswith(name, "@")
}
