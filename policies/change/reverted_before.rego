# METADATA
# title: What this component's changes came to lately
# description: |
#   Where `data.prior.reverts` changes of the component were taken back within `data.prior.days`, by a rollout's evidence or
#   by a kill, people are told: what judged those changes let them through.
# custom: {code: change.reverted_before, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.reverted_before

import data.evoguard.lib

code := "change.reverted_before"

escalate contains lib.finding(code, told, "", "reverted") if {
	count(lately) >= data.prior.reverts
}

told := $"{count(lately)} changes of this component were taken back in {data.prior.days} days: {concat(" ", sort(lately))}"

lately contains lib.text(lib.get(row, "change")) if {
	some row in input.prior.reverted
	row.at > input.now - (data.prior.days * 86400)
}
