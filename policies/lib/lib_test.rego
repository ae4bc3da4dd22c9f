package evoguard_test.lib_test

import data.evoguard.lib
import data.evoguard_test.given

test_text_stays if lib.text("a") == "a"

test_other_types_are_named if lib.text(7) == "(number)"

test_case_folds if lib.fold("CodeOwners") == lib.fold("CODEOWNERS")

test_globs_have_every_form if {
	forms := lib.globs with input as object.union(given.review, {"tighten": {"guard": ["**/x/**"]}})
	forms & {"**/x/**", "x/**", "**/x", "x"} == {"**/x/**", "x/**", "**/x", "x"}
}

test_old_names_are_touched if {
	names := lib.touched with input as object.union(given.review, given.with_file({"old_path": "b.py"}))
	names == {"lending/scoring.py", "b.py"}
}

test_plain_globs_are_read if {
	every pattern in ["a", "**/*.py", "a/**", "{a,b}/*", "x{a,b}{c,d}", "a+b^c"] { lib.readable_glob(pattern) }
}

test_globs_with_other_meanings_are_not_read if {
	every pattern in ["", "{", "}", "}{", "{{a}}", "{a", "a}", "[", "[a-c]", "a\\*", "(a)", "a|b", "a$", 7, null, {}] {
		not lib.readable_glob(pattern)
	}
}

test_a_glob_that_cannot_be_read_is_not_used if {
	forms := lib.globs with input as object.union(given.review, {"tighten": {"guard": ["a$"]}})
	not "a$" in forms
}

test_braces_are_closed_one_by_one if {
	lib.closed_braces("a{b,c}")
	lib.closed_braces("{a}{b}")
	not lib.closed_braces("a{b")
	not lib.closed_braces("{a}{b")
	not lib.closed_braces("{a{b}}")
	not lib.closed_braces("a}{b}")
}

test_a_file_that_was_never_renamed_has_one_name if {
	names := lib.touched with input as {"files": [{"path": "a.py", "old_path": ""}, {"path": "c.py", "old_path": "b.py"}]}
	names == {"a.py", "b.py", "c.py"}
}

test_weekday_of_known_days if {
	known := {
		0: "thursday",
		86399: "thursday",
		86400: "friday",
		1795737600: "friday",
		1795824000: "saturday",
		1795910399: "saturday",
		1795910400: "sunday",
		1796169600: "wednesday",
	}
	every at, name in known { lib.weekday(at) == name }
}

test_hour_of_day if {
	lib.hour(0) == 0
	lib.hour(1795910399) == 23
	lib.hour(1795910400) == 0
	lib.hour(1795914000) == 1
}

test_a_path_in_parts_is_folded if {
	found := lib.parts with input as {"files": [{"path": "A/B.py", "old_path": "C"}]}
	found == {"A/B.py": ["a", "b.py"], "C": ["c"]}
}
