package evoguard_test.change.special_file_test

import data.evoguard_test.given

code := "change.special_file"

test_plain if given.allows(given.reviewed({}))

test_symlink if given.denies(given.reviewed(given.with_file({"mode_new": "120000"})), code)

test_submodule if given.denies(given.reviewed(given.with_file({"mode_new": "160000"})), code)

test_setuid if given.denies(given.reviewed(given.with_file({"mode_new": "104755"})), code)

test_no_mode if given.denies(given.reviewed(given.with_file({"mode_new": ""})), code)

test_deleted_symlink if {
	given.allows(given.reviewed(given.with_file({"status": "deleted", "mode_old": "120000", "mode_new": "000000"})))
}

test_newly_executable if {
	given.denies(given.reviewed(given.with_file({"path": "tool", "mode_new": "100755"})), code)
}

test_added_executable if {
	given.denies(given.reviewed(given.with_file({"path": "tool", "status": "added", "mode_old": "", "mode_new": "100755"})), code)
}

test_still_executable if {
	given.allows(given.reviewed(given.with_file({"path": "tool", "mode_old": "100755", "mode_new": "100755"})))
}

test_newly_executable_script if {
	decision := given.reviewed(given.with_file({"path": "run.sh", "mode_new": "100755"}))
	given.allows(decision)
	{note.code | some note in decision.notes} == {code}
}

test_without_mode if {
	given.judged_at_review(object.union(given.review, {"files": [json.remove(given.file, ["mode_new"])]})).allow == false
}

noted(patch) := {note.code | some note in given.reviewed(given.with_file(patch)).notes}

test_a_newly_executable_file_that_is_no_script_is_no_note if {
	noted({"path": "lending/tool", "mode_new": "100755"}) == set()
	noted({"path": "lending/tool.sh", "mode_new": "100755"}) == {"change.special_file"}
}

test_a_deleted_script_is_not_newly_executable if {
	noted({"path": "lending/tool.sh", "status": "deleted", "mode_old": "100644", "mode_new": "100755"}) == set()
}
