"""`python -m tests.golden.record [pytest options]` writes the golden values anew, by the tests that read them.

Each file names the last commit that changed the package before it was recorded; the first were recorded at e260f30,
whose package is that of 330a9dc.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.golden.recorded import RECORD

if __name__ == "__main__":
    os.environ[RECORD] = "1"
    sys.exit(pytest.main([str(Path(__file__).parent), "-q", *sys.argv[1:]]))
