# METADATA
# title: New versions were looked up
# description: |
#   A database of advisories that is not what was imported denies. One that is old, or none, asks people when the change
#   brings versions, and is told else: a fresh installation has none, and fetches nothing by itself.
# custom: {code: evidence.advisories, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.advisories

import data.evoguard.lib

code := "evidence.advisories"

deny contains lib.finding(code, "the database is not what was imported; import it again", "", lib.at(["advisories", "status"])) if {
	not lib.at(["advisories", "status"]) in {"present", "none"}
}

escalate contains old if brings

notes contains old if not brings

brings if count(input.dependencies) > 0

old := lib.finding(code, "there is no database of advisories: evoguard osv import", "", "none") if input.advisories.status == "none"

old := lib.finding(code, $"the database is {days} days old, at most {data.supply.advisory_days}", "", "old") if {
	input.advisories.status == "present"
	days > data.supply.advisory_days
}

# The older of what its entries say and when it was imported; a time to come makes it no younger.
days := floor((input.now - min([input.advisories.imported, input.advisories.newest])) / 86400)
