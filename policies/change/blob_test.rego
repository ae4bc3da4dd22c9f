package evoguard_test.change.blob_test

import data.evoguard_test.given

code := "change.blob"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

test_none if found(given.reviewed({}), "escalate") == set()

test_one_asks_people if {
	decision := given.reviewed({"blobs": [given.blob]})
	given.allows(decision)
	found(decision, "escalate") == {"blob.minified"}
}

test_without_blobs if given.denies_field(given.judged_at_review(json.remove(given.review, ["blobs"])), "blobs")

test_it_says_where if {
	some finding in given.reviewed({"blobs": [given.blob]}).escalate
	finding.code == code
	finding.path == "static/a.min.js"
	finding.msg == "lines that nobody reads (line 1)"
}

test_it_is_asked_about_at_admit_too if {
	found(given.admitted({"blobs": [given.blob]}), "escalate") == {"blob.minified"}
}
