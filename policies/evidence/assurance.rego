# METADATA
# title: The tests were hard enough to forge
# description: |
#   A repository may ask that its changes are judged by tests apart from the code, or by tests that no agent can read;
#   it may also say from which share of its tests on it calls a verdict `split`.
# custom: {code: evidence.assurance, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.assurance

import data.evoguard.lib

ranks := {"visible-only": 1, "split": 2, "held-out": 3}

asked contains ranks[data.evidence.assurance]

asked contains ranks[input.tighten.assurance]

deny contains lib.finding("evidence.assurance", "the verdict rests on less than what is asked for", "", lib.at(["evidence", "assurance"])) if {
	not enough
}

enough if ranks[input.evidence.assurance] >= max(asked)

# What the component itself asks for it may say in a number; the bundle's own floor stands beside it.
enough if {
	input.tighten.assurance == "split"
	ranks[input.evidence.assurance] >= ranks[data.evidence.assurance]
	input.tighten.split_percent > 0
	input.evidence.expected > 0
	input.evidence.split * 100 >= input.tighten.split_percent * input.evidence.expected
}
