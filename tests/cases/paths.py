"""Where things lie: the repository, its models, and the models made by others that stand beside it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DATA = TESTS / "data"
MODELS = ROOT / "models"
SHARED_MODELS = Path(os.environ.get("INT8RT_SHARED_MODELS", ROOT.parent / "shared" / "models"))
