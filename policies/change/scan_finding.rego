# METADATA
# title: No known fault is added
# description: |
#   What a scan finds in the candidate and not at the base. A rule's own severity says what follows: `error` denies,
#   `warning` asks people, `info` is told. More than can be listed is more than people can read, and denies.
# custom: {code: change.scan_finding, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.scan_finding

import data.evoguard.lib

deny contains found(hit) if {
	some hit in input.hits
	not lib.get(hit, "severity") in {"warning", "info"}
}

deny contains lib.finding("change.scan_finding", "more than can be listed", "", $"{input.scan.omitted} more") if {
	input.scan.omitted > 0
}

escalate contains found(hit) if {
	some hit in input.hits
	hit.severity == "warning"
}

notes contains found(hit) if {
	some hit in input.hits
	hit.severity == "info"
}

found(hit) := lib.finding("change.scan_finding", said(hit), lib.get(hit, "path"), lib.get(hit, "rule"))

said(hit) := $"{lib.text(lib.get(hit, "msg"))} (line {lib.get(hit, "line")})"
