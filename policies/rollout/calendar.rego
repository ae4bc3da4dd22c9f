# METADATA
# title: While the calendar is closed it takes more people
# description: |
#   Hours of a weekday (`data.calendar.closed`) and spans of days (`data.calendar.freezes`) in which nobody wants to be
#   called: a change of little risk goes on as ever, any other is told and takes `data.calendar.people`.
# custom: {code: rollout.calendar, severity: escalate, source: "policies/README.md#rollout"}
# authors: [evoguard]
package evoguard.rules.rollout.calendar

import data.evoguard.lib

escalate contains lib.finding("rollout.calendar", $"closed: {reason}; it takes {data.calendar.people} people", "", "") if {
	some reason in lib.closed
}
