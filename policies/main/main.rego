# METADATA
# title: One decision on one question
# description: |
#   Two entry points, `review` before people are asked and `admit` with their approvals in hand. `allow` is proved: the
#   question was complete and for this stage, no rule denied it, and every rule that the data lists was evaluated.
# authors: [evoguard]
package evoguard

import data.evoguard.exceptions
import data.evoguard.lib

# METADATA
# title: Before people are asked
review := decision("review")

# METADATA
# title: With the approvals in hand
admit := decision("admit")

decision(stage) := {
	"allow": allowed(stage),
	"deny": denied(stage),
	"escalate": escalations - exceptions.set_aside,
	"quorum": lib.quorum,
	"notes": (rule_notes | exceptions.notes),
	"rules_seen": rules_seen,
}

default allowed(_) := false

allowed(stage) if {
	input.stage == stage
	count(denied(stage)) == 0
	rules_seen == data.rules
	count(rules_seen) > 0
}

denied(stage) := (rule_denials - exceptions.set_aside) | wrong_stage(stage)

rule_denials contains finding if some finding in data.evoguard.rules[_][_].deny

escalations contains finding if some finding in data.evoguard.rules[_][_].escalate

rule_notes contains finding if some finding in data.evoguard.rules[_][_].notes

default wrong_stage(_) := {{
	"code": "input.incomplete",
	"msg": "the question was asked at the wrong stage",
	"path": "stage",
	"term": "",
}}

wrong_stage(stage) := set() if input.stage == stage

# A rule was seen when its package holds a set of denials, escalations or notes: an empty set, when it has nothing to say.
seen contains $"{area}.{name}" if {
	some area, name
	is_set(data.evoguard.rules[area][name].deny)
}

seen contains $"{area}.{name}" if {
	some area, name
	is_set(data.evoguard.rules[area][name].escalate)
}

seen contains $"{area}.{name}" if {
	some area, name
	is_set(data.evoguard.rules[area][name].notes)
}

rules_seen := sort(seen)
