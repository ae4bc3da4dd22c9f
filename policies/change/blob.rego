# METADATA
# title: What nobody wrote needs people's eyes
# description: |
#   Generated, minified, packed or encoded files, and pointers to files elsewhere: what is in them nobody reads.
# custom: {code: change.blob, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.blob

import data.evoguard.lib

code := "change.blob"

escalate contains lib.finding(code, $"{lib.text(lib.get(note, "msg"))} (line {lib.get(note, "line")})", lib.get(note, "path"), lib.get(note, "rule")) if {
	some note in input.blobs
}
