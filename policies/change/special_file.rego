# METADATA
# title: Only plain files
# description: Symlinks, submodules and unknown modes reach outside the tree that was read; a new executable bit is for scripts only.
# custom: {code: change.special_file, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.special_file

import data.evoguard.lib

code := "change.special_file"

deny contains lib.finding(code, "not a plain file", lib.get(file, "path"), lib.get(file, "mode_new")) if {
	some file in input.files
	file.status != "deleted"
	not lib.get(file, "mode_new") in data.modes.plain
}

deny contains lib.finding(code, "newly executable and not a script", file.path, file.mode_new) if {
	some file in newly_executable
	not script(file.path)
}

notes contains lib.finding(code, "a newly executable script", file.path, file.mode_new) if {
	some file in newly_executable
	script(file.path)
}

newly_executable contains file if {
	some file in input.files
	file.status != "deleted"
	file.mode_new == data.modes.executable
	file.mode_old != data.modes.executable
}

script(path) if {
	some suffix in data.modes.script_suffixes
	endswith(path, suffix)
}
