# METADATA
# title: The tests ran in isolation
# description: Evidence from anything but a listed sandbox was made where the tested code could forge it.
# custom: {code: evidence.not_isolated, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.not_isolated

import data.evoguard.lib

deny contains lib.finding("evidence.not_isolated", "the run was not isolated", "", lib.at(["evidence", "isolation"])) if {
	not lib.at(["evidence", "isolation"]) in data.evidence.isolations
}
