# METADATA
# title: A change that people can read
# description: |
#   Too many files or lines, files that were not listed, or binary content: nobody can judge what nobody can read.
#   A changed picture or translation is shown to people instead.
#   A submission's own limits only lower the bundle's.
# custom: {code: change.unbounded, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.unbounded

import data.evoguard.lib

code := "change.unbounded"

deny contains lib.finding(code, $"{files} files, at most {lowest(max_files)}", "", "files") if files > lowest(max_files)

deny contains lib.finding(code, $"{lines} lines, at most {lowest(max_lines)}", "", "lines") if lines > lowest(max_lines)

deny contains lib.finding(code, $"{input.totals.omitted} files are not listed", "", "omitted") if {
	input.totals.omitted > 0
}

deny contains lib.finding(code, "binary content cannot be read", file.path, "binary") if {
	some file in input.files
	file.binary
	file.status != "deleted"
	not shown(file)
}

escalate contains lib.finding(code, "binary content of a kind that is shown, not run: look at it", file.path, "binary") if {
	some file in input.files
	file.binary
	shown(file)
}

# What stood there before and is looked at, never run: a picture, a font, a translation.
shown(file) if {
	file.status == "modified"
	some ending in data.change.shown
	endswith(lower(file.path), ending)
}

# A translation that is made from the text beside it, which is part of the same change.
shown(file) if {
	file.status == "added"
	endswith(file.path, ".mo")
	some other in input.files
	other.path == concat("", [trim_suffix(file.path, ".mo"), ".po"])
	other.status in {"added", "modified"}
	other.binary == false
}

# The larger of what the totals claim and what the list holds.
files := max([input.totals.files, count(input.files)])

lines := max([input.totals.added + input.totals.deleted, sum([n | some f in input.files; n := f.added + f.deleted])])

max_files contains data.limits.max_files

max_files contains input.tighten.max_files if input.tighten.max_files > 0

max_lines contains data.limits.max_lines

max_lines contains input.tighten.max_lines if input.tighten.max_lines > 0

lowest(limits) := min(limits)
