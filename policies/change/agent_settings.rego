# METADATA
# title: What tells agents what to do needs people's eyes
# description: |
#   A prompt, a tool or an agent's settings decide what the next change will be. An agent that edits them edits itself, or
#   whoever comes after it; no test of the code says anything about that.
# custom: {code: change.agent_settings, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.agent_settings

import data.evoguard.lib

escalate contains lib.finding("change.agent_settings", "it tells an agent or a model what to do", path, "") if some path in settings

names := {name | some name in data.change.settings.names}

folders := {name | some name in data.change.settings.folders}

texts_in := {name | some name in data.change.settings.texts_in}

settings contains path if {
	some path, parts in lib.parts
	parts[count(parts) - 1] in names
}

settings contains path if {
	some path, parts in lib.parts
	some part in parts
	part in folders
}

settings contains path if {
	some path, _ in lib.parts
	some end in data.change.settings.ends
	endswith(lib.fold(path), end)
}

settings contains path if {
	some path, parts in lib.parts
	some part in parts
	part in texts_in
	some end in data.change.settings.texts
	endswith(parts[count(parts) - 1], end)
}
