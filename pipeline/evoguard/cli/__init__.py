"""The command line: parse, call, print. Each verb loads what it needs when it runs: `--help` and `kill` stay small."""

from evoguard.cli.app import main

__all__ = ["main"]
