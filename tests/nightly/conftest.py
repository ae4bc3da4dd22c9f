"""What takes long to build or to run is asked by deploy/test_nightly.sh only, which sets EVOGUARD_NIGHTLY."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("EVOGUARD_NIGHTLY") == "1" else ["test_*.py"]
