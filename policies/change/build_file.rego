# METADATA
# title: What builds and what tests it needs people's eyes
# description: |
#   Files of continuous integration, of images and of builds run outside the tests that judge a change, often with keys
#   at hand. GitHub's workflows are a guard path, and manifests are read for what they bring.
# custom: {code: change.build_file, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.build_file

import data.evoguard.lib

escalate contains lib.finding("change.build_file", "it builds, tests or packs the software, and no test runs it", path, "") if some path in builds

names := {name | some name in data.change.builds.names}

folders := {name | some name in data.change.builds.folders}

builds contains path if {
	some path, parts in lib.parts
	parts[count(parts) - 1] in names
}

builds contains path if {
	some path, parts in lib.parts
	some part in parts
	part in folders
}

builds contains path if {
	some path, parts in lib.parts
	some start in data.change.builds.starts
	startswith(parts[count(parts) - 1], start)
}

builds contains path if {
	some path, parts in lib.parts
	some end in data.change.builds.ends
	endswith(parts[count(parts) - 1], end)
}
