"""How a suite on two trees becomes a verdict: what is run, what each run shows, and the rules over it."""
