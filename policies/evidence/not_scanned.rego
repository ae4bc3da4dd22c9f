# METADATA
# title: The change was scanned
# description: |
#   A scan that did not end, or that nobody made, says nothing. A file of a known language that could not be read whole
#   (a syntax error, a rule that ran out of time) was not looked at: people do that.
# custom: {code: evidence.not_scanned, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.not_scanned

import data.evoguard.lib

code := "evidence.not_scanned"

deny contains lib.finding(code, "the change was not scanned", "", lib.at(["scan", "status"])) if not complete

escalate contains lib.finding(code, "it could not be read whole by the scanner; look at it yourself", path, "") if {
	some path in input.scan.unread
}

complete if input.scan.status == "complete"
