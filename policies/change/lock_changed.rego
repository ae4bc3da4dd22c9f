# METADATA
# title: New dependencies need people's eyes
# description: A changed lock brings code that nobody in this repository wrote; the tests ran with the base's packages.
# custom: {code: change.lock_changed, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.lock_changed

import data.evoguard.lib

escalate contains lib.finding("change.lock_changed", "this lock names what gets installed; the tests ran with the base's", path, "") if {
	some path in lib.touched
	some name in data.change.locks
	lib.fold(lib.last(path)) == name
}
