"""Benchmarks of semjax: `python scripts/bench.py NAME ...`; NAME is one of those listed by --help.

Every figure in docs/benchmarks.md comes from one of these commands.
"""

import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = sorted(file.stem.removeprefix("bench_") for file in FOLDER.glob("bench_*.py"))


def main() -> None:
    """Hand over to scripts/bench_NAME.py."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        wanted = len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help")
        print(f"{__doc__.strip()}\n\nNAMEs: {', '.join(NAMES)}", file=sys.stdout if wanted else sys.stderr)
        sys.exit(0 if wanted else 2)
    script = FOLDER / f"bench_{sys.argv[1]}.py"
    sys.argv = [str(script), *sys.argv[2:]]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
