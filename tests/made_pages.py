"""Pages of made-up projects: tidy ones, and ones whose every text is hostile."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rag_lightning.assess.pairs import PAGE
from rag_lightning.claims import table
from rag_lightning.claims.claims import Claim
from rag_lightning.claims.verdicts import judge
from rag_lightning.config.commands import PaperConfig
from rag_lightning.core.records import Hypothesis, Passage, Prediction
from rag_lightning.inspect.command import Inspected
from rag_lightning.inspect.page import page_of
from rag_lightning.paper import command as paper
from rag_lightning.report.compare_page import write_comparison
from rag_lightning.report.page import write_page
from rag_lightning.report.sweep_page import render
from rag_lightning.stages.answer import Answer
from tests.assessing import assess, make_runs, save
from tests.browsing import HOSTILE
from tests.claim_scores import LEFT, RIGHT, claim, scores
from tests.compared import BAD, LONG, Project
from tests.sweep_folders import Maker, fill

ROOT = Path(__file__).parents[1]


def sweep_page(root: Path) -> Path:
    maker = Maker(root)
    fill(maker)
    return render(maker.folder, maker.artifacts, root / "out", ROOT / "reports/paper.yaml", ROOT / "reports/later.yaml")


def hostile_sweep_page(root: Path, texts: Sequence[str] = HOSTILE) -> Path:
    maker = Maker(root, dataset=texts[-2])
    maker.sweep(name=texts[0], warnings=list(texts))
    for place, bad in enumerate(texts):
        changes = {"label": bad, "notes": [bad], "packages": {bad: bad}, "git": {"sha": bad}, "command": bad}
        system = {"retriever": bad, "formulation": bad}
        maker.run(f"t{place}", "trial", "dev", 0.5, system=system, label=bad)
        maker.run(f"f{place}", "final", "test", 0.5, system=system, answer=bad, **changes)
    return render(maker.folder, maker.artifacts, root / "out", ROOT / "reports/paper.yaml")


def claims_page(root: Path) -> Path:
    return _claims(root, ["A is above B on all questions of the data."] * 2)


def hostile_claims_page(root: Path, texts: Sequence[str] = HOSTILE) -> Path:
    return _claims(root, texts)


def _claims(root: Path, texts: Sequence[str]) -> Path:
    found: list[tuple[Claim, table.Stored]] = []
    for place, text in enumerate(texts):
        one = claim(name=f"above-{place}" if text == texts[-1] else text, says=text, source=text, seeds=(0,))
        outcome = judge(one, {LEFT: {0: scores([1] * 30)}, RIGHT: {0: scores([0, 1, place % 2] * 10)}})
        found += [(one, outcome.as_dict()), (one, table.without("cannot run here", text))]
    return write_page(root / "out", table.page(f"Claims on {texts[0]}", "dev", found))


def paper_page(root: Path) -> Path:
    paper.run(PaperConfig(folder=str(root)))
    return root / "reports" / "out" / "paper-mini" / "index.html"


def assessed(root: Path, make: Callable[[int], str]) -> Path:
    make_runs(root, texts={"bart": make, "subject": make})
    folder = assess(root, pairs=20)
    save(folder, "Ann")
    return folder


def hostile(texts: Sequence[str]) -> Callable[[int], str]:
    return lambda place: f"{texts[place % len(texts)]} {place}"


def hostile_paper_page(root: Path, texts: Sequence[str] = HOSTILE) -> Path:
    assessed(root, hostile(texts))
    return paper_page(root)


def assess_page(root: Path) -> Path:
    return assessed(root, lambda place: f"A sentence of some words on the author number {place}") / PAGE


def hostile_assess_page(root: Path, texts: Sequence[str] = HOSTILE) -> Path:
    return assessed(root, hostile(texts)) / PAGE


def compare_page(root: Path) -> Path:
    return _compared(root, "who was it")


def hostile_compare_page(root: Path, texts: Sequence[str] = (BAD,)) -> Path:
    return _compared(root, " ".join(texts))


def _compared(root: Path, text: str) -> Path:
    project = Project(root, text)
    project.run("token", [1, 1, 0, 1] * 8)
    project.run("sequence", [1, 0, 0, 1] * 8)
    return write_comparison(project.compare("token", "sequence"), root / "out")


def inspect_page(root: Path) -> Path:
    return write_page(root / "out", page_of(inspected("a passage on Rome", "the capital of Italy")))


def hostile_inspect_page(root: Path, texts: Sequence[str] = (LONG, BAD)) -> Path:
    return write_page(root / "out", page_of(inspected(texts[0], texts[-1])))


def inspected(long: str, bad: str) -> Inspected:
    """An answer of two passages, all of whose texts are the two given."""
    passages = (Passage(long, long, long), Passage("2", bad, bad))
    said = Prediction("q", long, long, -0.5, (Hypothesis(long, -0.5, (5,)), Hypothesis(bad, -1.5, (6,))))
    shares = ((0.75, 0.25), (0.5, 0.5))
    made = Answer(passages, (0.75, 0.25), said, (1.5, 0.5), shares, ((long, shares[0]), (bad, shares[1])))
    return Inspected(long, long, long, made, (long, bad), {bad: 1.0}, (long,))
