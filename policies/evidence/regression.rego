# METADATA
# title: Base and candidate answer the same
# description: |
#   The requests that the base declares were all put to base and candidate, and both answered. A difference denies,
#   unless `data.evidence.regression_escalates` lists its code: then people are asked. A code that no list knows denies.
# custom: {code: evidence.regression, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.regression

import data.evoguard.lib

code := "evidence.regression"

deny contains lib.finding(code, "the declared requests were not all answered by both", "", lib.at(["regression", "status"])) if {
	not all_answered
}

deny contains lib.finding(code, "more differences than can be listed", "", $"{input.regression.omitted} more") if {
	input.regression.omitted > 0
}

deny contains lib.finding(code, told(found), place(found), lib.get(found, "code")) if {
	some found in input.regression.findings
	not for_people(found)
}

escalate contains lib.finding(code, told(found), place(found), found.code) if {
	some found in input.regression.findings
	for_people(found)
}

all_answered if {
	input.regression.status == "none"
	input.regression.declared == 0
}

all_answered if {
	input.regression.status == "complete"
	input.regression.declared > 0
	input.regression.asked > 0
	input.regression.answered == input.regression.asked
}

for_people(found) if lib.get(found, "code") in data.evidence.regression_escalates

told(found) := $"base and candidate differ: {lib.text(lib.get(found, "msg"))}"

place(found) := trim_space($"{lib.text(lib.get(found, "component"))} {lib.text(lib.get(found, "case"))}")
