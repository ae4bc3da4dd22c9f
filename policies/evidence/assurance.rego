# METADATA
# title: The tests were hard enough to forge
# description: A repository may ask that its changes are judged by tests apart from the code, or by tests that no agent can read.
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
