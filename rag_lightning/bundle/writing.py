"""Writing of a bundle: what a run, a sweep or the matrix rests on, in one zip file with the same bytes each time.

A bundle states nothing that it cannot prove: unfinished runs, and tables whose rankings no longer exist, are left out
and named.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import ZIP_BZIP2, ZipFile, ZipInfo

from rag_lightning import __version__
from rag_lightning.bundle.material import Material, Project
from rag_lightning.bundle.numbers import comparisons
from rag_lightning.bundle.opening import CHECKSUMS, CONTENTS, sums_text
from rag_lightning.bundle.public import attribution, publishable
from rag_lightning.core.artifacts import MANIFEST, Artifact
from rag_lightning.core.console import say
from rag_lightning.core.errors import DataError, UnknownNameError
from rag_lightning.core.files import open_atomic, read_sealed, sealed, write_json, write_lines, write_sealed, write_text
from rag_lightning.core.records import Score, read_checked, write_jsonl
from rag_lightning.report.collect import Run, read_stored
from rag_lightning.report.reading import need
from rag_lightning.runs import folders, ledger
from rag_lightning.runs.record import RUN, SUMMARY

SCHEMA = 2
SWEEP, SELECTION, IMPORTANCES = "sweep.json", "selection.json", "importances.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every file in a zip file: the same content has the same bytes. So it is bzip2, as builds of zlib differ."""
README = """# A bundle of rag-lightning

    rag-lightning verify {name}.zip          # computes every number again from the predictions, and compares
    rag-lightning demo --bundle {name}.zip   # writes the report, to be read in a browser
    sha256sum -c checksums.txt               # in the unpacked folder

`runs/` holds configuration, environment and result of each run, `artifacts/` predictions, rankings and scores,
`questions/` and `passages/` what they were made from (see ATTRIBUTION.md), `manifests/` how everything else was made.
"""


@dataclass(frozen=True)
class Selected:
    """The runs to write.

    Args:
        group: Folder of runs/ that they are in.
        name: Name of the bundle.
        runs: The finished ones.
        left_out: Names of others, with the reason.
        sweep: Whether all of a sweep is written, with its selection and retrieval.
    """

    group: Path
    name: str
    runs: Sequence[Run]
    left_out: Mapping[str, str]
    sweep: bool


def select(root: Path, given: str, systems: Literal["all", "chosen"] = "all") -> Selected:
    """The runs of a folder of runs/, or one of them.

    Args:
        root: The project.
        given: A sweep or experiments, by name or path; or one run, as `folders.find_run` reads it.
        systems: chosen takes those on test only.

    Raises:
        UnknownNameError: no such folder or run, or several runs.
        DataError: nothing finished, or a damaged run.
    """
    groups = [path for path in sorted(folders.runs(root).glob("*")) if path.is_dir()]
    here = Path(given) if given and os.path.isdir(given) else None
    group = next((path for path in groups if given == path.name or (here and path.samefile(here))), None)
    path = group or _find_run(root, given, groups)
    files = sorted(group.glob(f"*/{RUN}")) if group else [path / RUN]
    found = [read_stored(file) for file in files]
    left_out = {run.run_id: f"the run is marked {run.status}" for run in found if not run.finished}
    kept = [run for run in found if run.finished]
    if systems == "chosen" and group:
        left_out |= {run.run_id: "not on test" for run in kept if run.split == "dev"}
        kept = [run for run in kept if run.split != "dev"]
    if not kept:
        raise DataError(path, "has no finished run" + (" on test" if systems == "chosen" else ""), hint="run it first")
    whole = group is not None and systems == "all" and (group / SWEEP).exists()
    return Selected(group or path.parent, path.name, kept, left_out, whole)


def _find_run(root: Path, given: str, groups: Sequence[Path]) -> Path:
    try:
        return folders.find_run(root, given)
    except UnknownNameError as error:
        known = ", ".join(group.name for group in groups) or "none"
        raise UnknownNameError(f"{error}; whole folders of runs: {known}") from error


def write_bundle(project: Project, selected: Selected, target: Path) -> dict[str, Any]:
    """Write a bundle, whole or not at all; returns the content of its bundle.json.

    Raises:
        ArtifactError, DataError: something that the runs rest on is missing or damaged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bundle-") as made:
        folder = Path(made)
        contents = _lay_out(project, selected, folder)
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        write_text(folder / CHECKSUMS, sums_text(files))
        with open_atomic(target) as handle, ZipFile(handle, "w") as archive:
            for name in sorted([*files, CHECKSUMS]):
                info = ZipInfo(name, EPOCH)
                info.compress_type, info.external_attr, info.create_system = ZIP_BZIP2, 0o644 << 16, 3
                with (folder / name).open("rb") as source, archive.open(info, "w", force_zip64=True) as sink:
                    shutil.copyfileobj(source, sink)
    return contents


def _lay_out(project: Project, selected: Selected, folder: Path) -> dict[str, Any]:
    group, place = selected.group, folder / "runs" / selected.group.name
    materials = {run.run_id: Material.of_run(project, run) for run in selected.runs}
    left_out = dict(selected.left_out)
    for run in selected.runs:
        (place / run.run_id).mkdir(parents=True)
        write_sealed(place / run.run_id / RUN, publishable(read_sealed(group / run.run_id / RUN)))
        shutil.copyfile(group / run.run_id / SUMMARY, place / run.run_id / SUMMARY)
    retrieval: list[Material] = []
    if (group / SWEEP).exists():
        sweep = publishable(read_sealed(group / SWEEP))
        retrieval = _retrieval(project, sweep, left_out) if selected.sweep else []
        sweep["retrieval"] = [row for row in sweep.get("retrieval", []) if row.get("scores") in _digests(retrieval)]
        write_sealed(place / SWEEP, sweep)
    for name in (SELECTION, IMPORTANCES) if selected.sweep else ():
        if (group / name).exists():
            write_sealed(place / name, publishable(read_sealed(group / name)))
    _write_ledger(project.root, selected, folder)
    everything = [*materials.values(), *retrieval]
    _write_artifacts(everything, folder)
    _write_texts(project, everything, folder)
    _write_manifests(project, selected.runs, folder)
    contents = {
        "schema": SCHEMA,
        "name": selected.name,
        "made_by": f"rag-lightning {__version__}",
        "group": group.name,
        "kind": "sweep" if (group / SWEEP).exists() else "matrix",
        "runs": [run.run_id for run in selected.runs],
        "left_out": left_out,
        "comparisons": _comparisons(group, selected.runs, materials),
    }
    write_json(folder / CONTENTS, contents)
    write_text(folder / "README.md", README.format(name=selected.name))
    write_text(folder / "ATTRIBUTION.md", attribution(publishable(run.config) for run in selected.runs))
    return contents


def _digests(materials: Iterable[Material]) -> set[str]:
    return {material.scores.digest for material in materials}


def _retrieval(project: Project, sweep: Mapping[str, Any], left_out: dict[str, str]) -> list[Material]:
    """What the retrieval table of a sweep rests on; rows without it are entered into `left_out`."""
    found = []
    for row in sweep.get("retrieval", []):
        if project.folder("scores", str(row.get("scores"))).is_dir():
            found.append(Material.of(project, str(row["scores"])))
        else:
            left_out[f"retrieval: {row.get('retriever')}, {row.get('model')}"] = "its scores are no longer stored"
    return found


def _comparisons(group: Path, runs: Sequence[Run], materials: Mapping[str, Material]) -> list[dict[str, Any]]:
    path = group / SWEEP
    if not path.exists():
        return []
    on_test = [run for run in runs if run.split == "test"]
    scores = {run.run_id: read_checked(materials[run.run_id].scores.path / "scores.jsonl", Score) for run in on_test}
    return comparisons(on_test, scores, need(path, read_sealed(path), "objective", str))


def _write_ledger(root: Path, selected: Selected, folder: Path) -> None:
    """The evaluations on test of these runs."""
    names = {run.run_id for run in selected.runs}
    if lost := [one for one in ledger.lacking(root) if one.parent == selected.group and one.name in names]:
        say(ledger.loss(root, lost))
    lines = [one for one in ledger.read(root) if one["sweep"] == selected.group.name and one["run_id"] in names]
    if lines:
        write_lines(
            folder / "runs" / ledger.FILE, (json.dumps(sealed(publishable(one)), ensure_ascii=False) for one in lines)
        )


def _write_artifacts(materials: Sequence[Material], folder: Path) -> None:
    for material in materials:
        for artifact in (material.scores, material.artifact("predictions"), material.artifact("rankings")):
            place = folder / "artifacts" / artifact.kind / artifact.digest if artifact else None
            if artifact and place and not place.exists():
                place.mkdir(parents=True)
                _write_manifest(artifact, place / MANIFEST)
                for name in artifact.manifest["files"]:
                    shutil.copyfile(artifact.path / name, place / name)


def _write_manifest(artifact: Artifact, path: Path) -> None:
    write_sealed(path, publishable(artifact.manifest))


def _write_texts(project: Project, materials: Sequence[Material], folder: Path) -> None:
    """The questions, and the passages that any ranking has among those that count."""
    rows: dict[str, set[int]] = defaultdict(set)
    for material in materials:
        digest, split = material.given("examples"), material.setting("split", str)
        place = folder / "questions" / digest
        place.mkdir(parents=True, exist_ok=True)
        if not (place / f"{split}.jsonl").exists():
            write_jsonl(place / f"{split}.jsonl", project.examples(digest, split))
        for ranking in material.rankings() or ():
            rows[material.corpus].update(ranking.rows)
    for digest, wanted in rows.items():
        store = project.passages(digest)
        (folder / "passages").mkdir(exist_ok=True)
        found = ((row, store[row]) for row in sorted(wanted))
        lines = (
            json.dumps({"row": row, "passage_id": p.passage_id, "title": p.title, "text": p.text}, ensure_ascii=False)
            for row, p in found
        )
        write_lines(folder / "passages" / f"{digest}.jsonl", lines)


def _write_manifests(project: Project, runs: Sequence[Run], folder: Path) -> None:
    """The manifests of all other artifacts that the runs rest on, as far as they are still stored."""
    for kind, digest in sorted({(kind, str(one)) for run in runs for kind, one in run.record["digests"].items()}):
        stored = project.folder(kind, digest) / MANIFEST
        if stored.exists() and not (folder / "artifacts" / kind / digest).exists():
            place = folder / "manifests" / kind / f"{digest}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(place, publishable(read_sealed(stored)))
