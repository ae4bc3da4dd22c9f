# METADATA
# title: Nobody approves their own change
# description: The author is not among the approvers, and no name votes both as an agent and as a person.
# custom: {code: approval.self, severity: constitution, source: "policies/README.md#approval"}
# authors: [evoguard]
package evoguard.rules.approval.self

import data.evoguard.lib

code := "approval.self"

deny contains lib.finding(code, "the author is among the approvers", "", vote.by) if {
	some vote in input.approvals
	lib.fold(vote.by) == lib.fold(input.author.id)
}

deny contains lib.finding(code, "one name votes as an agent and as a person", "", vote.by) if {
	some vote in input.approvals
	vote.kind == "person"
	lib.fold(vote.by) in lib.agents
}
