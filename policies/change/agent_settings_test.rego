package evoguard_test.change.agent_settings_test

import data.evoguard_test.given

code := "change.agent_settings"

escalates(path) if {
	some finding in given.reviewed(given.with_file({"path": path})).escalate
	finding.code == code
	finding.path == path
}

test_settings_of_agents_escalate if {
	every path in [
		"CLAUDE.md", "a/agents.MD", ".mcp.json", "x/.claude/settings.json", ".cursor", "prompts/a/b.txt", "writer/prompt.txt",
		"agents/review.yaml", "agents/deep/review.md", "a/hello.prompt",
	] {
		escalates(path)
	}
}

test_code_beside_them_does_not if {
	every path in ["lending/scoring.py", "agents/run.py", "a/CLAUDE.md.py", "prompts.py", "prompt/a.txt"] { not escalates(path) }
}

test_an_old_name_escalates if {
	some finding in given.reviewed(given.with_file({"path": "a.md", "old_path": "AGENTS.md", "status": "renamed"})).escalate
	finding.code == code
}

test_it_denies_nothing if given.allows(given.reviewed(given.with_file({"path": "CLAUDE.md"})))

test_without_files if given.denies(given.judged_at_review(json.remove(given.review, ["files"])), "input.incomplete")
