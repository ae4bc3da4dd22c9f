package evoguard_test.change.build_file_test

import data.evoguard_test.given

code := "change.build_file"

escalates(path) if {
	some finding in given.reviewed(given.with_file({"path": path})).escalate
	finding.code == code
	finding.path == path
}

test_files_that_build_escalate if {
	every path in [
		"Makefile", "a/makefile", ".gitlab-ci.yml", ".circleci/config.yml", "Dockerfile", "x/Dockerfile.dev", "Jenkinsfile",
		"tests/conftest.py", "compose.yaml", "rules.mk", ".gitlab-ci.yml",
	] {
		escalates(path)
	}
}

test_code_does_not if {
	every path in ["lending/scoring.py", "docs/Makefile.md", "compose.py", "ci/run.py", "dockerfiles.py"] { not escalates(path) }
}

test_an_old_name_escalates if {
	some finding in given.reviewed(given.with_file({"path": "a.mk", "old_path": "Makefile", "status": "renamed"})).escalate
	finding.code == code
}

test_it_denies_nothing if given.allows(given.reviewed(given.with_file({"path": "Makefile"})))

test_without_files if given.denies(given.judged_at_review(json.remove(given.review, ["files"])), "input.incomplete")
