# METADATA
# title: Code that runs at installation needs people's eyes
# description: |
#   A dependency or the project itself that runs a script when it is installed runs it where the project is built.
# custom: {code: change.dependency_script, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.dependency_script

import data.evoguard.lib

code := "change.dependency_script"

escalate contains lib.finding(code, "it runs code of its own when it is installed", lib.get(row, "path"), lib.package_of(row)) if {
	some row in input.dependencies
	not lib.get(row, "scripts") == false
}
