"""What no test can prove and people should look at: the same calls on both sides, and a look at the code."""
