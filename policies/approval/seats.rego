# METADATA
# title: Agents of another model reviewed it
# description: |
#   As many agents as `data.approval.seats` or the component file's `seats` say approved this exact digest, each of a model
#   that is known and not the author's. They never count as people. An approval by agents of the author's own model alone is
#   pointed out.
# custom: {code: approval.seats, severity: deny, source: "policies/README.md#approval"}
# authors: [evoguard]
package evoguard.rules.approval.seats

import data.evoguard.lib

code := "approval.seats"

deny contains lib.finding(code, lacking, "", lib.at(["approval_digest"])) if {
	not input.stage == "review"
	not enough_seats
}

escalate contains lib.finding(code, "no agent that approved is known to run another model than the author", "", "model") if {
	count(lib.seats) == 0
	some vote in lib.standing
	vote.kind == "agent"
}

lacking := $"{count(lib.seats)} of {lib.seats_asked} agents of another model approved this digest"

enough_seats if count(lib.seats) >= lib.seats_asked
