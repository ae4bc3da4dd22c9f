# METADATA
# title: What no test proves needs people's eyes
# description: |
#   Code that looks at its environment, answers that differ from the base's, code that could not be read: no layer can
#   prove what it does elsewhere. People are told; nothing is refused for it.
# custom: {code: evidence.needs_review, severity: escalate, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.needs_review

import data.evoguard.lib

escalate contains lib.finding("evidence.needs_review", "look at this before you approve; `evoguard evidence` lists the places", "", found) if {
	some found in input.evidence.review
}
