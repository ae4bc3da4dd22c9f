# METADATA
# title: New dependencies need people's eyes by name
# description: |
#   Code that nobody in this repository wrote comes in, or comes in under another name. Who reviews it looks at each.
# custom: {code: change.dependency_added, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.dependency_added

import data.evoguard.lib

code := "change.dependency_added"

escalate contains lib.finding(code, said(row), lib.get(row, "path"), lib.package_of(row)) if {
	some row in input.dependencies
	row.change in {"added", "renamed"}
	row.own == false
}

said(row) := "a new dependency" if row.change == "added"

said(row) := $"installed under the name {lib.text(lib.get(row, "alias"))}" if row.change == "renamed"
