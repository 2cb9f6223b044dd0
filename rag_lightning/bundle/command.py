"""Commands `export`, `verify` and `demo`; none of them needs torch or a model."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import webbrowser
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

from rag_lightning.bundle.every_eval import every_eval
from rag_lightning.bundle.material import Material, Project
from rag_lightning.bundle.numbers import amount
from rag_lightning.bundle.opening import CHECKSUMS, CONTENTS, Opened, opened
from rag_lightning.bundle.verifying import Checked, check, read_contents
from rag_lightning.bundle.writing import Selected, select, write_bundle
from rag_lightning.config.commands import PaperConfig, Scale, SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import say
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import write_json
from rag_lightning.core.registry import check_name, load
from rag_lightning.core.shipped import find_shipped
from rag_lightning.report import command as report
from rag_lightning.report.collect import read_stored
from rag_lightning.report.page import INDEX
from rag_lightning.runs import folders
from rag_lightning.runs.record import RUN
from rag_lightning.tasks.results.record import FORMATS, get_format

SHIPPED = "reports/demo/curatedtrec.zip"
"""The bundle that the project ships."""
BUNDLE, EVERY_EVAL = "bundle", "every_eval"
ENDINGS = {BUNDLE: "zip", EVERY_EVAL: "json"}
SYSTEMS = ("all", "chosen")
PAPER = "rag_lightning.paper.command:run"
"""The page of a matrix; imported when it is asked for."""
MOST_SHOWN = 20
"""Differences that are listed."""


def export(config: ExperimentConfig, run: str, to: str = "", format: str = BUNDLE, systems: str = "all") -> None:
    """Write a run, or all runs of a sweep or of the matrix, and print the file.

    Args:
        config: Its folder is used.
        run: Folder of runs/: a sweep, experiments, or one run of them.
        to: File to write; empty for one in reports/out.
        format: bundle, every_eval, or a format of result files.
        systems: all, or chosen: those on test only.

    Raises:
        UnknownNameError: an unknown format, or other systems.
        ConfigError: a format of one run, and several.
        ArtifactError, DataError: no such run, or something it rests on is missing or damaged.
    """
    check_name("format", format, [BUNDLE, EVERY_EVAL, *FORMATS])
    check_name("systems", systems, SYSTEMS)
    root = Path(config.folder)
    selected = select(root, run, "chosen" if systems == "chosen" else "all")
    target = Path(to) if to else folders.report(root, f"{selected.name}.{ENDINGS.get(format, 'jsonl')}")
    if target.is_dir():
        raise ConfigError(f"--to {to}: is a folder; give a file")
    if format == BUNDLE:
        contents = write_bundle(Project(root), selected, target)
        say(f"{'bundle':<17} {target}: {amount(len(contents['runs']), 'run')}, {target.stat().st_size / 1e6:.2f} MB")
        for why, names in Counter(contents["left_out"].values()).items():
            say(f"{'left out':<17} {names:,} of the sweep ({why}); bundle.json names them")
        return
    _export_one(Project(root), selected, target, format)


def _export_one(project: Project, selected: Selected, target: Path, format: str) -> None:
    if len(selected.runs) > 1:
        names = [run.run_id for run in selected.runs if run.split == "test"] or [selected.runs[0].run_id]
        raise ConfigError(f"--format {format} is of one run; give one, such as {selected.group.name}/{names[0]}")
    (run,) = selected.runs
    if format == EVERY_EVAL:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, every_eval(run))
        say(f"{format:<17} {target}: {len(run.estimates)} metrics of {run.label}")
        return
    material = Material.of_run(project, run)
    say(f"{format:<17} {target}: {get_format(format).write(target, material.results())} rows of {run.label}")


def verify(config: ExperimentConfig, bundle: str) -> None:
    """Check a bundle and print what was compared.

    Raises:
        DataError: something differs, the bundle is damaged, or it is none.
    """
    with opened(Path(bundle)) as found:
        try:
            checked = check(found)
        except RecursionError as error:
            raise DataError(bundle, "holds values that are nested too deeply") from error
    _show(checked)
    if checked.differences:
        first = checked.differences[0]
        raise DataError(bundle, f"{len(checked.differences):,} values differ, the first is {first}")
    say(f"{'verified':<17} {checked.numbers:,} numbers computed again: no difference")


def _show(checked: Checked) -> None:
    for subject, state in checked.lines.items():
        say(f"{subject:<17} {state}")
    for line in checked.unchecked:
        say(f"{'not checked':<17} {line}")
    for difference in checked.differences[:MOST_SHOWN]:
        say(f"{'different':<17} {difference}")
    if len(checked.differences) > MOST_SHOWN:
        say(f"{'different':<17} and {len(checked.differences) - MOST_SHOWN:,} more")


def demo(config: ExperimentConfig, bundle: str = "", to: str = "demo") -> None:
    """Unpack a bundle into a folder of its own, write its report there, and open it if stdout is a terminal.

    Raises:
        DataError: the bundle is damaged, altered or none, or has no report because it is of one run.
        ConfigError: the folder holds something else.
    """
    given = Path(bundle) if bundle else find_shipped(SHIPPED)
    if not bundle and not given.exists():
        raise ConfigError("this installation ships no bundle; give --bundle FILE")
    with opened(given) as found:
        if found.altered:
            hint = "rag-lightning verify says what differs"
            raise DataError(given, "was altered: a checksum differs", field=found.altered[0], hint=hint)
        contents = read_contents(found.folder)
        folder = _unpack(found, Path(to))
    page = _page(contents, folder)
    print(page.resolve().as_uri())
    if sys.stdout.isatty() and (
        sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        webbrowser.open(page.resolve().as_uri())


def _unpack(bundle: Opened, to: Path) -> Path:
    """A copy of the bundle's files in a folder that is new, or holds the same bundle already."""
    if to.exists() or to.is_symlink():
        if (to / CHECKSUMS).is_file() and (to / CHECKSUMS).read_bytes() == (bundle.folder / CHECKSUMS).read_bytes():
            return to
        raise ConfigError(f"--to {to}: holds something else; name a new folder")
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".demo-") as place:
        shutil.copytree(bundle.folder, Path(place) / "made")
        os.replace(Path(place) / "made", to)
    return to


def _page(contents: Mapping[str, Any], folder: Path) -> Path:
    """Write the page of a sweep, or for the matrix that of the paper's tables; returns its path."""
    if contents["kind"] == "sweep":
        report.run(SweepConfig(name=contents["group"], experiment=ExperimentConfig(folder=str(folder))))
        return folders.report(folder, contents["group"], INDEX)
    found = sorted(folders.run_group(folder, contents["group"]).glob(f"*/{RUN}"))
    if not found:
        raise DataError(folder / CONTENTS, "names no run that is there", field="runs")
    scale = read_stored(found[0]).scale
    check_name("scale", scale, get_args(Scale))
    load(PAPER)(PaperConfig(scale=cast(Scale, scale), folder=str(folder)))
    return folders.report(folder, f"paper-{scale}", INDEX)
