"""Where untrusted code runs: one sandbox, what starts it, what holds it, and those that stand ready."""
