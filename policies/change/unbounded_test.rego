package evoguard_test.change.unbounded_test

import data.evoguard_test.given

code := "change.unbounded"

test_at_the_limit_of_files if given.allows(given.counted({"files": 100}))

test_over_the_limit_of_files if given.denies_term(given.counted({"files": 101}), code, "files")

test_longer_list_than_claimed if {
	given.denies_term(given.reviewed({"files": [given.file | some _ in numbers.range(1, 101)]}), code, "files")
}

test_at_the_limit_of_lines if given.allows(given.counted({"added": 2000, "deleted": 1000}))

test_over_the_limit_of_lines if given.denies_term(given.counted({"added": 2000, "deleted": 1001}), code, "lines")

test_more_lines_than_claimed if given.denies_term(given.reviewed(given.with_file({"added": 3001})), code, "lines")

test_omitted if given.denies_term(given.counted({"omitted": 1}), code, "omitted")

test_binary_added if {
	given.denies_term(given.reviewed(given.with_file({"binary": true, "status": "added"})), code, "binary")
}

test_binary_modified if given.denies_term(given.reviewed(given.with_file({"binary": true})), code, "binary")

shown(decision) := {finding.path | some finding in decision.escalate; finding.code == code}

test_a_changed_picture_asks_people if {
	decision := given.reviewed(given.with_file({"binary": true, "path": "docs/a.PNG"}))
	given.allows(decision)
	shown(decision) == {"docs/a.PNG"}
}

test_a_picture_that_is_read_as_text_asks_nobody if {
	shown(given.reviewed(given.with_file({"binary": false, "path": "docs/a.png"}))) == set()
}

test_a_new_picture_denies if {
	changes := {"binary": true, "path": "docs/a.png", "status": "added"}
	given.denies_term(given.reviewed(given.with_file(changes)), code, "binary")
}

test_a_renamed_picture_denies if {
	changes := {"binary": true, "path": "docs/a.png", "status": "renamed", "old_path": "a.so"}
	given.denies_term(given.reviewed(given.with_file(changes)), code, "binary")
}

test_a_changed_library_denies if {
	given.denies_term(given.reviewed(given.with_file({"binary": true, "path": "a.png.so"})), code, "binary")
}

translation(source) := given.reviewed({"files": [
	object.union(given.file, {"path": "locale/de.mo", "binary": true, "status": "added"}),
	object.union(object.union(given.file, {"path": "locale/de.po", "status": "added"}), source),
]})

test_a_translation_beside_its_text_asks_people if {
	given.allows(translation({}))
	given.allows(translation({"status": "modified"}))
	shown(translation({})) == {"locale/de.mo"}
}

test_a_translation_alone_denies if {
	every source in [{"path": "locale/fr.po"}, {"binary": true}, {"status": "deleted"}] {
		given.denies_term(translation(source), code, "binary")
	}
}

test_a_translation_with_another_text_denies if {
	given.denies_term(
		given.reviewed({"files": [
			object.union(given.file, {"path": "locale/de.so", "binary": true, "status": "added"}),
			object.union(given.file, {"path": "locale/de.so.po", "status": "added"}),
		]}),
		code, "binary",
	)
}

test_shown_without_a_field if {
	every field in {"status", "path"} {
		file := object.remove(object.union(given.file, {"binary": true, "path": "a.png"}), [field])
		given.judged_at_review(object.union(given.review, {"files": [file]})).allow == false
	}
}

test_binary_deleted if given.allows(given.reviewed(given.with_file({"binary": true, "status": "deleted"})))

test_lower_own_limit_of_files if {
	given.denies_term(given.reviewed({"totals": {"files": 10}, "tighten": {"max_files": 9}}), code, "files")
}

test_within_own_limit_of_files if given.allows(given.reviewed({"totals": {"files": 20}, "tighten": {"max_files": 100}}))

test_higher_own_limit_of_files if {
	given.denies_term(given.reviewed({"totals": {"files": 101}, "tighten": {"max_files": 1000}}), code, "files")
}

test_lower_own_limit_of_lines if given.denies_term(given.reviewed({"tighten": {"max_lines": 3}}), code, "lines")

test_higher_own_limit_of_lines if {
	given.denies_term(given.reviewed({"totals": {"added": 3001}, "tighten": {"max_lines": 9000}}), code, "lines")
}

test_without_totals if given.judged_at_review(json.remove(given.review, ["totals"])).allow == false

test_own_limit_of_one if {
	given.denies_term(given.reviewed({"totals": {"files": 2}, "tighten": {"max_files": 1}}), code, "files")
	given.denies_term(given.reviewed({"totals": {"added": 2}, "tighten": {"max_lines": 1}}), code, "lines")
}
