"""Files are damaged one at a time, and a command reads them: one typed line, or the same result as before."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.campaign import damage
from tests.campaign.children import Ended
from tests.campaign.project import Project, content, copy, files_of
from tests.campaign.readers import Reader, Usual, differences, readers, shown, usual
from tests.campaign.tally import Tally, explain

KINDS = (
    ("manifest of an artifact", r"artifacts/.*/manifest\.json"),
    ("resume point", r"artifacts/.*\.partial/"),
    ("weights", r"artifacts/.*\.safetensors"),
    ("tokenizer or model config", r"artifacts/(model|reader|biencoder|retriever_warmup)/.*"),
    ("FAISS index", r"artifacts/index/"),
    ("vectors", r"artifacts/vectors/"),
    ("passages", r"artifacts/corpus/"),
    ("words of BM25", r"artifacts/bm25"),
    ("pair store", r"artifacts/pairs/"),
    ("predictions", r"artifacts/predictions/"),
    ("scores", r"artifacts/scores/"),
    ("rankings", r"artifacts/rankings/"),
    ("questions", r"artifacts/(examples|targets)/"),
    ("another artifact", r"artifacts/"),
    ("run.json", r"runs/[^/]+/[^/]+/run\.json"),
    ("summary.json", r"runs/[^/]+/[^/]+/summary\.json"),
    ("mlflow.json", r"runs/.*mlflow\.json"),
    ("sweep.json, space.json, selection.json", r"runs/[^/]+/\w+\.json"),
    ("study.db", r"runs/.*\.db"),
    ("ledger", r"runs/ledger\.jsonl"),
    ("another file of runs/", r"runs/"),
    ("mlflow.db", r"mlflow\.db"),
    ("bundle", r"reports/.*\.zip"),
    ("result file", r"reports/.*\.jsonl"),
    ("another file", r""),
)
"""Kinds of files, by the beginning of their path in the project."""
NAMED = re.compile(r"[0-9a-f]{8}")
"""What the names of artifacts and of runs have."""
RARE = 3
"""How much rarer a reader is that takes twice as long (an exponent); a kind of files is as rare as its fastest one."""
OWN = ("result file",)
"""Kinds of files that are a user's own: an edit is other data, which has another result."""


def kind_of(path: str) -> str:
    """The kind of a file of the project."""
    return next(kind for kind, pattern in KINDS if re.match(pattern, path))


@dataclass
class Range:
    """The project that is damaged, a copy to restore it from, and what its readers give."""

    project: Project
    whole: Path
    before: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    usual: dict[str, Usual] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)

    def prepare(self, tally: Tally, only: Sequence[str]) -> None:
        """Learn what each reader gives; a reader that gives two results is noted and left out."""
        copy(self.project.root, self.whole)
        self.before = files_of(self.project.root)
        root = self.project.root
        self.contents = {path: content(root / path, root) for path in self.before}
        for reader in (one for one in readers(self.project) if not only or one.name in only):
            first, second = (self._usual(reader) for _ in range(2))
            if first.ended.code or (first.shown, first.changed) != (second.shown, second.changed):
                what = (
                    explain(first.ended) or first.ended.last if first.ended.code else _first_difference(first, second)
                )
                tally.notes.append(f"reader {reader.name} left out: {what}")
                continue
            self.readers[reader.name], self.usual[reader.name] = reader, second
        self._weigh(self.project.given / "seconds.json")

    def _weigh(self, file: Path) -> None:
        """Take the seconds of readers from an earlier campaign in this place: choices depend on them."""
        known: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
        for name, one in self.usual.items():
            one.seconds = known.setdefault(name, one.seconds)
        file.write_text(json.dumps(known))

    def _usual(self, reader: Reader) -> Usual:
        found = usual(reader, self.project, self.before, self.contents)
        self.restore()
        return found

    def restore(self, harmed: str = "") -> None:
        """Bring the project back to what it was; the state of a harmed file may look as before."""
        root = self.project.root
        now = files_of(root)
        for path in now.keys() - self.before.keys():
            (root / path).unlink()
            for folder in (root / path).parents:
                if folder == root or any(folder.iterdir()):
                    break
                folder.rmdir()
        for path, state in self.before.items():
            if now.get(path) != state or path == harmed:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.whole / path, root / path)

    @contextmanager
    def damaged(self, path: str) -> Iterator[Path]:
        """Yields a file that may be harmed; the project is whole again at the end."""
        try:
            yield self.project.root / path
        finally:
            self.restore(path)


def _first_difference(first: Usual, second: Usual) -> str:
    paths = sorted(
        path for path in {*first.changed, *second.changed} if first.changed.get(path) != second.changed.get(path)
    )
    lines = [a for a, b in zip(first.shown.splitlines(), second.shown.splitlines(), strict=False) if a != b]
    return f"two runs differ in {[*paths, *lines][:3]}"


def run(project: Project, tally: Tally, counts: Mapping[str, int], seed: int, first: int, only: Sequence[str]) -> None:
    """Damage files of a project, so many times (`flips`), and so many times under a checksum that fits (`sealed`).

    Args:
        project: The project, which is complete.
        tally: Where tries are counted.
        counts: Number of tries of both kinds.
        seed: Seed of every choice.
        first: Number of the first try, to repeat one.
        only: Names of the readers; empty for all.
    """
    place = Range(project, project.given / "whole")
    place.prepare(tally, only)
    by_kind: dict[str, list[str]] = {}
    for path in sorted({path for one in place.usual.values() for path in one.opened}):
        by_kind.setdefault(kind_of(path), []).append(path)
    never = sorted({kind_of(path) for path in place.before} - by_kind.keys())
    opened = f"{sum(map(len, by_kind.values()))} of {len(place.before)} files are opened by {len(place.usual)} commands"
    tally.notes.append(f"{opened}; no file of: {', '.join(never) or 'no kind'}")
    checked = {kind: [path for path in paths if _is_checked(project, path)] for kind, paths in by_kind.items()}
    checked = {kind: paths for kind, paths in checked.items() if paths}
    for option, chosen in (("flips", by_kind), ("sealed", checked)):
        kinds = sorted(chosen)
        rarity = [1 / _seconds(place, chosen[kind]) for kind in kinds]
        for number in range(first, first + counts[option]):
            rng = random.Random(f"{seed}-{option}-{number}")
            kind = rng.choices(kinds, rarity)[0]
            how = f"--seed {seed} --first {number} --{option} 1"
            _try(place, tally, rng, kind, rng.choice(chosen[kind]), how, option == "sealed")


def _seconds(place: Range, paths: Sequence[str]) -> float:
    """Seconds of the fastest reader of any of some files."""
    return min(one.seconds for one in place.usual.values() if not one.opened.isdisjoint(paths))


def _is_checked(project: Project, path: str) -> bool:
    """Whether a checksum or a seal protects a file."""
    return _artifact(project, path) is not None or bool(re.match(r"runs/.*\.json", path))


def _artifact(project: Project, path: str) -> Path | None:
    """The artifact that a file is in, None if it is in none."""
    parts = path.split("/")
    folder = project.root.joinpath(*parts[:3])
    return folder if parts[0] == "artifacts" and (folder / damage.MANIFEST).exists() else None


def _try(place: Range, tally: Tally, rng: random.Random, kind: str, path: str, how: str, sealed: bool) -> None:
    suited = [name for name, one in sorted(place.usual.items()) if path in one.opened and _reads(place, name, path)]
    if not suited:
        return
    weights = [place.usual[name].seconds ** -RARE for name in suited]
    name = rng.choices(suited, weights)[0]
    with place.damaged(path) as target:
        of_values = sealed and path.endswith((".json", ".jsonl"))
        way = damage.harm(target, rng, (damage.retype, damage.edit) if of_values else damage.WAYS)
        if sealed:
            damage.seal(target, _artifact(place.project, path))
        harmed = target.read_bytes()
        begun = monotonic()
        ended = place.readers[name].start(place.project).wait(60 + 10 * place.usual[name].seconds)
        problem, outcome = judge(place, name, path, ended, harmed, sealed)
        title = f"{'crafted content' if sealed else 'damage'}: {kind}"
        slow = f", {monotonic() - begun:.0f} s" if monotonic() - begun > 20 else ""
        tally.add(title, problem, f"{how}: {path} {way}, then `{' '.join(place.readers[name].words)}`{slow}", outcome)


def _reads(place: Range, name: str, path: str) -> bool:
    """Whether a reader finds the file, rather than making it again."""
    without = place.readers[name].without
    return not any(path.startswith(f"artifacts/{kind}/") and ".partial" not in path for kind in without)


def judge(place: Range, name: str, path: str, ended: Ended, harmed: bytes, sealed: bool) -> tuple[str, str]:
    """What is wrong with how a reader ended on a damaged file, empty if nothing; and what it did."""
    reader, before = place.readers[name], place.usual[name]
    if problem := explain(ended):
        return f"{name}: {problem}", ""
    changed = differences(place.project, place.before, place.contents)
    target = place.project.root / path
    told = _tells(ended, before, path)
    if not target.exists() or target.read_bytes() == harmed:
        changed.pop(path, None)  # as it was damaged; one that was made again is compared
    if ended.code:
        lost = _lost(changed, before, reader)
        if lost:
            return f"{name}: refused, but {lost[0]} is lost or altered", ""
        return ("", "told") if told or sealed else (f"{name}: does not name the file: {ended.last}", "")
    same = all(changed.get(one) == before.changed.get(one) for one in {*changed, *before.changed} - {path})
    if same and shown(ended, place.project, reader.shows) == before.shown:
        return "", "same"
    if told or sealed or kind_of(path) in OWN:
        return "", "told" if told else "another result"
    differing = sorted(
        one for one in {*changed, *before.changed} - {path} if changed.get(one) != before.changed.get(one)
    )
    return f"{name}: silently another result, in {differing[:2] or 'what it prints'}", ""


def _tells(ended: Ended, before: Usual, path: str) -> bool:
    """Whether a line that is not usual names the file, its artifact or its run."""
    usual_lines = set((before.ended.out + before.ended.err).splitlines())
    new = " ".join(line for line in (ended.out + ended.err).splitlines() if line not in usual_lines)
    *folders, name = path.split("/")
    digests = [folder[:8] if len(folder) == 16 else folder for folder in folders if NAMED.search(folder)]
    return any(one in new for one in (name, *digests))


def _lost(changed: Mapping[str, str], before: Usual, reader: Reader) -> list[str]:
    """Files that a refusal took away or altered: artifacts, and finished runs."""
    found = []
    for path, now in changed.items():
        made_again = path in before.changed or any(path.startswith(f"artifacts/{kind}/") for kind in reader.without)
        if not made_again and (not now or path.startswith("artifacts/") or path.endswith(("run.json", "summary.json"))):
            found.append(path)
    return found
