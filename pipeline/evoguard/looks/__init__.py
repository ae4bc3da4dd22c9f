"""What is unusual in the code of a change: two trees compared, bounded, nothing run. `unusual.py` is the door."""
