# METADATA
# title: The tests ran and passed
# description: Evidence that did not pass, ran no test, ran another number than expected or saw one fail proves nothing.
# custom: {code: evidence.not_passed, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.not_passed

import data.evoguard.lib

code := "evidence.not_passed"

evidence := lib.at(["evidence", "digest"])

deny contains lib.finding(code, "the tests did not pass", "", evidence) if not input.evidence.passed == true

deny contains lib.finding(code, "no test ran", "", evidence) if not lib.at(["evidence", "run"]) > 0

deny contains lib.finding(code, $"{input.evidence.run} of {input.evidence.expected} expected tests ran", "", evidence) if {
	not lib.at(["evidence", "run"]) == lib.at(["evidence", "expected"])
}

deny contains lib.finding(code, $"{input.evidence.failed} tests failed", "", evidence) if {
	not input.evidence.failed == 0
}
