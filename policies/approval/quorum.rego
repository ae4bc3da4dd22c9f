# METADATA
# title: Enough people approved this exact digest
# description: Counts distinct people whose unexpired approval names the digest at hand. Any reject that the question lists stands.
# custom: {code: approval.quorum, severity: deny, source: "policies/README.md#approval"}
# authors: [evoguard]
package evoguard.rules.approval.quorum

import data.evoguard.lib

code := "approval.quorum"

deny contains lib.finding(code, $"{count(lib.people)} of {lib.quorum} people approved this digest", "", lib.at(["approval_digest"])) if {
	not input.stage == "review"
	not enough_people
}

deny contains lib.finding(code, "a reject stands", "", vote.by) if {
	not input.stage == "review"
	some vote in input.approvals
	vote.verdict != "approve"
}

enough_people if count(lib.people) >= lib.quorum
