"""Scanners: tools that read a change's files for known faults, each in the sandbox."""
