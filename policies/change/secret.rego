# METADATA
# title: No secret on an added line
# description: A likely secret found on an added line denies; the secret itself is never part of the question.
# custom: {code: change.secret, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.secret

import data.evoguard.lib

deny contains lib.finding("change.secret", $"a likely secret on line {secret.line}", lib.get(secret, "path"), lib.get(secret, "rule")) if {
	some secret in input.secrets
}
