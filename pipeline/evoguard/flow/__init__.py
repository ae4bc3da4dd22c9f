"""The path every change takes. Read `graph.py` first; `runs.py` is the only door."""
