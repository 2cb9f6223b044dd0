"""Attack the project: python -m tests.campaign --kills 200 --flips 10000 --texts 500 --seed 0.

Prints a table of tries, right and wrong; the exit code is 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}

from tests.campaign import flips, indexes, kills, names, texts, together
from tests.campaign.children import preload, run_to_end
from tests.campaign.project import Project, complete, copy, give, take
from tests.campaign.tally import Tally


def main() -> int:
    """Run the parts that have a number; returns the exit code."""
    given = _options().parse_args()
    place = Path(given.place or mkdtemp(prefix="campaign-")).resolve()
    tally, seed, table = Tally(), given.seed, Path(given.json).resolve() if given.json else None
    preload()
    project = cache(lambda: _project(place, given.project))  # made for the parts that need it

    def kill_tiny(count: int) -> None:
        kills.kill(kills.tiny(place, project().given, tally, bool(given.project)), place, tally, count, seed)

    def kill_smoke(count: int) -> None:
        kills.kill(kills.smoke(place, given.assets, tally), place, tally, count, seed)

    parts = {
        "kills": (given.kills, kill_tiny),
        "smoke": (given.smoke, kill_smoke),
        "flips": (given.flips + given.sealed, lambda _: _flips(given, project(), place, tally)),
        "indexes": (given.indexes, lambda n: indexes.run_indexes(place / "indexes", tally, n, seed, given.first)),
        "texts": (given.texts, lambda n: texts.run_texts(place / "texts", tally, n, seed, not given.project)),
        "names": (given.names, lambda n: names.run_names(project(), place / "names", tally, n, seed)),
        "folders": (given.folders, lambda n: names.run_folders(project(), place / "names", tally, n)),
        "moved": (given.folders, lambda _: names.run_moved(project(), place / "names", tally)),
        "make": (given.make, lambda n: names.run_make(place / "make", tally, n, seed)),
        "pairs": (given.pairs, lambda n: together.run_together(project(), place, tally, n, seed)),
        "locked": (given.pairs, lambda _: together.run_locked(project(), place, tally)),
    }
    for name, (count, part) in parts.items():
        if count:
            begun = monotonic()
            part(count)
            print(f"{name}: {monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            if table is not None:
                tally.write(table)
    print(tally.table())
    return 1 if tally.wrong.total() else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    counts = {
        "kills": "kills of the tiny sweep, each followed by going on",
        "smoke": "kills of the sweep of sweeps/smoke.yaml",
        "flips": "damaged files",
        "sealed": "damaged files under a checksum that fits",
        "indexes": "damaged files of indexes, each kind in turn",
        "texts": "hostile texts",
        "names": "hostile names",
        "folders": "folders with signs in their names",
        "make": "hostile values of variables of make",
        "pairs": "runs of each pair of commands at once",
    }
    for name, text in counts.items():
        parser.add_argument(f"--{name}", type=int, default=0, help=f"number of {text}")
    parser.add_argument("--first", type=int, default=0, help="number of the first damage, to repeat one")
    parser.add_argument("--seed", type=int, default=0, help="seed of every choice")
    parser.add_argument(
        "--place", default="", help="folder to work in, whose finished sweep is used again; default: a new one"
    )
    parser.add_argument("--project", default="", help="folder of a finished tiny sweep to begin with")
    parser.add_argument("--readers", default="", help="commands that read damaged files, with commas; default: all")
    parser.add_argument("--assets", default="assets", help="folder of the data that smoke needs")
    parser.add_argument("--json", default="", help="file to write the table to")
    return parser


def _project(place: Path, finished: str) -> Project:
    """The project of a finished sweep; made once in a folder."""
    clean = Project(place / "clean", give(place / "given"))
    if finished and not clean.root.exists():
        take(Path(finished), clean.root)
    elif not clean.root.exists():
        run_to_end(clean.sweep(), clean.log, 3600)
    return clean


def _flips(given: argparse.Namespace, clean: Project, place: Path, tally: Tally) -> None:
    """Damage a copy of the project with everything that is made from it."""
    attacked, only = Project(place / "attacked", clean.given), list(filter(None, given.readers.split(",")))
    copy(clean.root, attacked.root)
    complete(attacked, briefly=bool(only))
    flips.run(attacked, tally, {"flips": given.flips, "sealed": given.sealed}, given.seed, given.first, only)


if __name__ == "__main__":
    sys.exit(main())
