"""The example's scripts import each other by plain name, as they do when they are started."""

from __future__ import annotations

import sys
from pathlib import Path

LENDING = Path(__file__).parents[3] / "examples" / "lending"
for folder in (LENDING, LENDING / "service"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
