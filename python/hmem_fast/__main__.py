"""``python -m hmem_fast``: the same as the command ``hmem``."""

from __future__ import annotations

import sys

from hmem_fast.cli import main

if __name__ == "__main__":
    sys.exit(main())
