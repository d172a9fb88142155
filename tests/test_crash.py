"""Writers that are killed lose nothing that they acknowledged, and leave nothing half done. See `crash.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("HMEM_KILLS", "200"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_killed_writers_lose_nothing_and_leave_nothing_half_done(tmp_path):
    script = Path(__file__).with_name("crash.py")
    run = subprocess.run(
        [sys.executable, str(script), "--kills", str(KILLS), "--seed", "0", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert (result["kills"], result["lost"], result["partial"]) == (KILLS, 0, 0)
    assert result["acknowledged"] > KILLS
    assert {"open", "store", "flush", "purge"} <= result["killed_in"].keys()
