# METADATA
# title: What is excepted, and what only watches
# description: |
#   An exemption lifts one rule's findings in its scope until a day at most 90 days ahead, and names who asked for it and
#   the two who agreed. A rule in shadow is recorded and decides nothing before the day it becomes effective. Neither
#   holds for the constitution, and one that is not whole holds for nothing.
# authors: [evoguard]
package evoguard.exceptions

import data.evoguard.calendar
import data.evoguard.lib

# A finding is set aside by an exemption, or because its rule is in shadow; else it stands.
set_aside contains finding if {
	some finding in found
	some exemption in holding
	exemption.code == finding.code
	covers(exemption.scope, finding)
}

set_aside contains finding if {
	some finding in found
	shadowed[finding.code]
}

found contains finding if some finding in data.evoguard.rules[_][_].deny

found contains finding if some finding in data.evoguard.rules[_][_].escalate

# What is set aside is still told, with the reason.
notes contains lib.finding(finding.code, $"exempt until {exemption.until} ({exemption.id}): {finding.msg}", finding.path, finding.term) if {
	some finding in found
	some exemption in holding
	exemption.code == finding.code
	covers(exemption.scope, finding)
}

notes contains lib.finding(finding.code, $"in shadow until {day}: {finding.msg}", finding.path, finding.term) if {
	some finding in found
	day := shadowed[finding.code]
}

# METADATA
# description: The exemptions that hold at this moment. The day that `until` names is the first on which one does not.
holding contains exemption if {
	some exemption in data.exemptions
	liftable(exemption.code)
	every key in ["id", "reason", "owner"] { lib.get(exemption, key) != "" }
	count({lib.fold(name) | some name in exemption.approved_by; is_string(name); name != ""}) >= 2
	left := (calendar.days(exemption.until) * 86400) - input.now
	left > 0
	left <= data.limits.exemption_days * 86400
}

shadowed[entry.code] := entry.effective_on if {
	some entry in data.shadow
	liftable(entry.code)
	calendar.days(entry.effective_on) * 86400 > input.now
}

liftable(code) if {
	code in data.rules
	is_array(data.constitution)
	count(data.constitution) > 0
	not code in data.constitution
}

# An empty scope would be everything by mistake, so it names a repository or a component; a path narrows it further.
covers(scope, finding) if {
	named := {key | some key in ["repo", "component"]; scope[key] != ""}
	count(named) > 0
	every key in named { scope[key] == input.change[key] }
	on_path(lib.get(scope, "path"), finding.path)
}

on_path(pattern, _) if pattern in {null, ""}

on_path(pattern, path) if {
	lib.readable_glob(pattern)
	glob.match(lib.fold(pattern), ["/"], lib.fold(path))
}
