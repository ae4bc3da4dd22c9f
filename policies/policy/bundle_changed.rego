# METADATA
# title: One bundle from review to admission
# description: What was reviewed under other rules is reviewed again.
# custom: {code: policy.bundle_changed, severity: constitution, source: "policies/README.md#policy"}
# authors: [evoguard]
package evoguard.rules.policy.bundle_changed

import data.evoguard.lib

deny contains lib.finding("policy.bundle_changed", "reviewed under another bundle", "", lib.at(["policy", "reviewed_bundle"])) if {
	not input.stage == "review"
	not input.policy.bundle == input.policy.reviewed_bundle
}
