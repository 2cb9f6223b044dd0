"""Pages of made-up projects: tidy ones, and ones whose every text is hostile."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rag_lightning.assess.pairs import PAGE
from rag_lightning.claims import table
from rag_lightning.claims.claims import Claim
from rag_lightning.claims.verdicts import judge
from rag_lightning.config.commands import PaperConfig
from rag_lightning.paper import command as paper
from rag_lightning.report.page import write_page
from rag_lightning.report.sweep_page import render
from tests.assessing import assess, make_runs, save
from tests.browsing import HOSTILE
from tests.claim_scores import LEFT, RIGHT, claim, scores
from tests.sweep_folders import Maker, fill

ROOT = Path(__file__).parents[1]


def sweep_page(root: Path) -> Path:
    maker = Maker(root)
    fill(maker)
    return render(maker.folder, maker.artifacts, root / "out", ROOT / "reports/paper.yaml", ROOT / "reports/later.yaml")


def hostile_sweep_page(root: Path) -> Path:
    maker = Maker(root, dataset=HOSTILE[2])
    maker.sweep(name=HOSTILE[0], warnings=list(HOSTILE))
    for place, bad in enumerate(HOSTILE):
        changes = {"label": bad, "notes": [bad], "packages": {bad: bad}, "git": {"sha": bad}, "command": bad}
        system = {"retriever": bad, "formulation": bad}
        maker.run(f"t{place}", "trial", "dev", 0.5, system=system, label=bad)
        maker.run(f"f{place}", "final", "test", 0.5, system=system, answer=bad, **changes)
    return render(maker.folder, maker.artifacts, root / "out", ROOT / "reports/paper.yaml")


def claims_page(root: Path) -> Path:
    return _claims(root, ["A is above B on all questions of the data."] * 2)


def hostile_claims_page(root: Path) -> Path:
    return _claims(root, HOSTILE)


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


def hostile(place: int) -> str:
    return f"{HOSTILE[place % len(HOSTILE)]} {place}"


def hostile_paper_page(root: Path) -> Path:
    assessed(root, hostile)
    return paper_page(root)


def assess_page(root: Path) -> Path:
    return assessed(root, lambda place: f"A sentence of some words on the author number {place}") / PAGE


def hostile_assess_page(root: Path) -> Path:
    return assessed(root, hostile) / PAGE
