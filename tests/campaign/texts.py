"""Hostile text goes the whole way: read as passages and questions, trained on, and shown wherever text is shown."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

from rag_lightning.config.fields import to_dict
from tests import made_pages
from tests.campaign.children import Child, run
from tests.campaign.hostile import PIECES
from tests.campaign.project import Project, give
from tests.campaign.shown import browser, in_terminal, on_page
from tests.campaign.tally import Tally, explain
from tests.tiny_project import ANSWERS, SPLITS, passages, questions, write_lines

IN_A_PAGE = 6
"""Texts on one made-up page."""
FEW = 3
IN_A_SWEEP = 96
"""Texts in one sweep: as titles, passages, questions, answers and ids."""


TOO_LONG = "too many for generator.max_source_length"
"""Of the line that refuses a question whose text has more tokens than the tests' model reads."""


def texts(count: int, seed: int) -> list[str]:
    """Hostile texts: each piece once, then pieces and characters of all planes side by side."""
    rng, found = random.Random(seed), list(PIECES[:count])
    while len(found) < count:
        parts = [rng.choice(PIECES) for _ in range(rng.randrange(1, 5))]
        limits = [rng.choice((0x300, 0x3000, 0x110000)) for _ in range(3)]
        parts.append("".join(chr(rng.randrange(limit)) for limit in limits))
        rng.shuffle(parts)
        found.append(rng.choice(("", " ", "a")).join(parts))
    return found


def run_texts(place: Path, tally: Tally, count: int, seed: int, whole_way: bool = True) -> None:
    """Try so many texts as input of their own, on pages of made-up projects, and on the whole way of a sweep."""
    shutil.rmtree(place, ignore_errors=True)
    given, how = give(place / "given"), f"--seed {seed}, text"
    listed = texts(count, seed)
    usable = [text for number, text in enumerate(listed) if _read(place / "read", tally, text, f"{how} {number}")]
    with browser(tally) as chromium:
        for first in range(0, count, IN_A_PAGE):
            some = listed[first : first + IN_A_PAGE]
            _pages(place / "pages", tally, some, f"{how}s from {first} on", chromium)
        for first in range(0, len(usable) if whole_way else 0, IN_A_SWEEP):
            some = usable[first : first + IN_A_SWEEP]
            _whole_way(place / "sweep", given, tally, some, f"{how}s from the accepted one {first} on", chromium)


def _read(place: Path, tally: Tally, text: str, how: str) -> bool:
    """Whether a text is accepted as title, passage, question and answer; what is refused is refused in one line."""
    place.mkdir(parents=True, exist_ok=True)
    rows, asked = passages()[:8], [dict(row) for row in questions("train")[:8]]
    rows[0] |= {"title": text, "text": f"{text} {rows[0]['text']}"}
    asked[0] |= {"question": f"{text} {asked[0]['question']}", "answers": [text, "paris"]}
    accepted = True
    for name, lines, more in (("corpus.jsonl", rows, ()), ("train.jsonl", asked, ("--as_task", "nq"))):
        file = write_lines(place / name, lines)
        ended = run(["doctor", "--data", str(file), *more], place / "log")
        problem = explain(ended) or in_terminal(ended)
        way = "refused" if ended.code else "accepted"
        tally.add("text: read", problem, f"{how}: {name}, {text[:80]!r}", way)
        accepted &= not ended.code and not problem
    return accepted


def _pages(place: Path, tally: Tally, some: Sequence[str], how: str, chromium: Any) -> None:
    """Pages of made-up projects whose every text is one of these; the last two are no text of ours."""
    makers: tuple[Callable[[Path, Sequence[str]], Path], ...] = (
        made_pages.hostile_sweep_page, made_pages.hostile_compare_page, made_pages.hostile_inspect_page,
        made_pages.hostile_claims_page, made_pages.hostile_assess_page, made_pages.hostile_paper_page,
    )  # fmt: skip
    for make in makers:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)

        def work(make: Callable[[Path, Sequence[str]], Path] = make) -> int:
            (place / "page").write_text(str(make(place / "project", [*some, "x", "y"])))
            return 0

        ended = Child(work, place / "log").wait()
        kind = f"text: {make.__name__.removeprefix('hostile_').replace('_', ' ')}"
        if ended.last.startswith("rag_lightning.core.errors."):  # in a line, where a command prints it
            tally.right(kind, "refused")
            continue
        problem = explain(ended) or on_page(Path((place / "page").read_text()).parent, place, chromium)
        for number in range(len(some)):
            tally.add(kind, problem if number == 0 else "", f"{how}: {[text[:40] for text in some]!r}")


def _whole_way(place: Path, given: Path, tally: Tally, some: Sequence[str], how: str, chromium: Any) -> None:
    """A sweep over passages, questions and answers that hold the texts, and everything that shows it."""
    shutil.rmtree(place, ignore_errors=True)
    file = _sweep_over(place, given, some)
    folder, log = str(place / "project"), place / "log"
    problems, commands = [], [["sweep", "--config", str(file)]]
    while commands:
        words = commands.pop(0)
        ended = run(words, log, 900)
        if TOO_LONG in ended.last:
            tally.right("text: whole way", "refused")
            return
        refused = f"{words[0]} refused: {ended.last}" if ended.code else ""
        problems.append(explain(ended) or refused or in_terminal(ended))
        if problems[0] and len(some) > FEW:  # which text it was, and what else there is
            for part in (some[: len(some) // 2], some[len(some) // 2 :]):
                _whole_way(place, given, tally, part, how, chromium)
            return
        if words[0] == "sweep" and "--status" not in words and not ended.code:
            names = [path.parent.name for path in sorted(place.glob("project/runs/tiny/dev-*/run.json"))]
            commands += [["report", "--config", str(file)], ["sweep", "--config", str(file), "--status"]]
            commands += [["export", "tiny", "--folder", folder], ["verify", f"{folder}/reports/out/tiny.zip"]]
            commands += [["report", "--experiment.folder", folder, "--compare", *names[:2]]]
            for number in SPLITS["dev"]:
                page = str(place / "inspect" / f"{number}.html")
                commands += [["inspect", names[0], "--folder", folder, "--question", f"q{number}", "--html", page]]
    for page in [*place.rglob("reports/out/**/index.html"), *place.glob("inspect/*.html")]:
        problems.append(on_page(page.parent, place, chromium, page.name))
    wrong = [problem for problem in problems if problem]
    for number in range(max(len(some), len(wrong))):
        tally.add("text: whole way", wrong[number] if number < len(wrong) else "", f"{how}: {[t[:40] for t in some]}")


def _sweep_over(place: Path, given: Path, some: Sequence[str]) -> Path:
    """The configuration of a sweep over texts: 64 passages and 64 questions, each with three of them."""
    data, base = place / "data", Project(place / "project", given).config
    data.mkdir(parents=True)
    turn = cycle(some)
    for row in (rows := passages()):
        row |= {"title": f"{row['title']} {next(turn)[:200]}", "text": f"{row['text']} {next(turn)[:400]}"}
    write_lines(data / "corpus.jsonl", rows)
    for split in SPLITS:
        for row in (asked := questions(split)):
            row["question"] = f"{row['question']} {next(turn)[:30]}"
            row["answers"] = [ANSWERS[0], next(turn)[:200] or "x"]
        write_lines(data / f"{split}.jsonl", asked)
    files = {"dev": str(data / "dev.jsonl"), "test": str(data / "test.jsonl"), "train": (str(data / "train.jsonl"),)}
    experiment = replace(
        base.experiment,
        corpus=replace(base.experiment.corpus, source=str(data / "corpus.jsonl")),
        task=replace(base.experiment.task, **files),  # type: ignore[arg-type]
        reader=replace(base.experiment.reader, steps=4, warmup=1),
        train=replace(base.experiment.train, steps=1, eval_every=0),
    )
    space = {"decoding": ("rag_token/greedy", "rag_sequence/thorough"), "retriever": ("flat",), "k": (2,)}
    file = place / "sweep.yaml"
    file.write_text(json.dumps(to_dict(replace(base, experiment=experiment, trials=2, space=space, always=()))))
    return file
