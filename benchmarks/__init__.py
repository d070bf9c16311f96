"""How fast int8rt is beside LiteRT: run from the repository's root, with the packages of ``pip install -e ".[test]"``.

    python -m benchmarks.models      whole models, and README's table
    python -m benchmarks.kernels     single operators over shapes
    python -m benchmarks.start       first run ever, warm start, peak memory

All figures are measured here and now, the competitors interleaved in short bursts; nothing is compared with numbers
from elsewhere. Where other processes run, repeat.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Models are written with the tests' writer.
sys.path.append(str(ROOT / "tests" / "cases"))
