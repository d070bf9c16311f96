"""``python -m int8rt``: the command line, as the command ``int8rt``."""

from int8rt.tools.cli import main

main()
