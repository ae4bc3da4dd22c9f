"""`python -m evoguard` is the command `evoguard`."""

from __future__ import annotations

import sys

from evoguard.cli import main

sys.exit(main())
