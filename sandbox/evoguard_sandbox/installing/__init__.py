"""A project's dependencies as a read-only layer: its lock, its wheels, where they lie."""
