# METADATA
# title: Tests that come out otherwise each time are set aside by people
# description: |
#   An unstable test judges nothing, so each must be in quarantine: named by people in the component file at the base,
#   with a reason, an owner and an end that has not come and is near. What has run out counts for nothing.
# custom: {code: evidence.unstable_tests, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.unstable_tests

import data.evoguard.lib

code := "evidence.unstable_tests"

deny contains lib.finding(code, "the test does not come out the same each time and is not in quarantine", "", id) if {
	some id in input.evidence.unstable
	not id in named
}

deny contains lib.finding(code, "its quarantine has run out, or runs further ahead than is allowed", "", id) if {
	some id in input.evidence.unstable
	id in named
	not id in set_aside
}

# Evidence without the list would silence the rule.
deny contains lib.finding(code, "the evidence does not tell which tests are unstable", "", "") if {
	not is_array(lib.at(["evidence", "unstable"]))
}

named contains entry.test if some entry in input.quarantine

set_aside contains entry.test if {
	some entry in input.quarantine
	entry.until > input.now
	entry.until <= input.now + (data.evidence.quarantine_days * 86400)
	entry.reason != ""
	entry.owner != ""
}
