"""Table 4: the paper's human assessment beside those of ours, and an automatic proxy that is named as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rag_lightning.assess.answers import RULE, Assessment, read_assessments
from rag_lightning.assess.majority import Judged, judge
from rag_lightning.assess.pairs import QUESTIONS
from rag_lightning.assess.proxy import PREFERENCES, Proxy, compute_proxy
from rag_lightning.assess.stored import Pair, find_artifact
from rag_lightning.core.errors import ConfigError
from rag_lightning.paper.cells import ANY_SPLIT, TONES, Results, scale_of
from rag_lightning.report.collect import Run
from rag_lightning.report.paper import Where, compare, paper_dataset
from rag_lightning.report.tables import NOTHING, Cell, Column, Row, Table, estimated, number

SYSTEMS = ("BART", "RAG-Token")
"""The systems of the paper's pairs, as its rows name them first and second."""
ROWS: dict[str, int | str] = {
    "BART better": 0,
    "RAG better": 1,
    "both good": "both",
    "both poor": "neither",
    "no majority": "no majority",
}
"""Row of the paper -> position of the system that is better, or the judgement."""
MAJORITY = (
    "Majority: the option that more than half of the counted annotators of a pair chose; shares are of the pairs with "
    "at least one answer."
)
PROXY = (
    "By words, and no human assessment: it knows nothing of truth, cannot tell both good from both poor, and does not "
    "stand for the paper's numbers."
)
NO_RUNS = f"no two finished runs of {' and '.join(SYSTEMS)} with stored outputs"
MEANS = {
    "factuality": "larger share of its content words in the gold passages of the question",
    "specificity": "more distinct content words that the question does not have",
}


def assessment_tables(results: Results) -> list[Table]:
    """Table 4 with ours, every assessment of ours, its annotators, and the proxy."""
    ours = _of_the_scale(results)
    printed = _printed(results, _of_the_paper_s_pair(results, ours))
    tables = [replace(printed, notes=(MAJORITY, RULE, *printed.notes)) if ours else printed]
    if ours:
        tables += [_listed(ours), _annotators(ours)]
    return [*tables, _proxy(results)]


def as_json(results: Results) -> list[dict[str, Any]]:
    """Every assessment of the scale as JSON values."""
    return [
        {
            "name": one.name,
            "a": one.key.a.run,
            "b": one.key.b.run,
            "annotators": len(one.counted),
            "excluded": len(one.annotators) - len(one.counted),
            "questions": {
                question.name: {
                    "pairs": found.n,
                    "alpha": found.alpha,
                    "shares": {name: share.mean for name, share in found.shares.items()},
                }
                for question in QUESTIONS
                for found in [judge(one, question.name)]
            },
        }
        for one in _of_the_scale(results)
    ]


def _of_the_scale(results: Results) -> list[Assessment]:
    return [one for one in read_assessments(results.config.folder) if scale_of(one) == results.config.scale]


def _of_the_paper_s_pair(results: Results, ours: Sequence[Assessment]) -> Assessment | None:
    """The assessment of the paper's data and systems with the most judged pairs."""
    fitting = [
        one
        for one in ours
        if paper_dataset(one.dataset) == _dataset(results) and {one.key.a.system, one.key.b.system} == set(SYSTEMS)
    ]
    judged = [(judge(one, QUESTIONS[0].name).n, one.name, one) for one in fitting]
    return max(judged)[2] if judged and max(judged)[0] else None


def _printed(results: Results, ours: Assessment | None) -> Table:
    printed = results.paper.tables["table4"]
    columns = [Column("judgement", numeric=False)]
    for head in printed.heads:
        columns += [Column(f"{head}, paper"), Column(f"{head}, {results.config.scale}")]
    found = {question.name: judge(ours, question.name) for question in QUESTIONS} if ours else {}
    why, command = _missing(results)
    text = f"{why}; command: {command}" if command else why
    rows = []
    for row, values in printed.rows.items():
        cells = [Cell(row)]
        for head, value in zip(printed.heads, values, strict=True):
            mine = _share(results, ours, found[head], row, head) if ours else Cell("not run", hint=text, tone="missing")
            cells += [number(value), mine]
        rows.append(Row(tuple(cells)))
    lead = _lead(ours, found) if ours else f"Ours: not run ({why}){f'; command: {command}' if command else ''}"
    return Table(printed.title, tuple(columns), tuple(rows), printed.notes, "table4", lead=lead, ordered=True)


def _share(results: Results, ours: Assessment, judged: Judged, row: str, head: str) -> Cell:
    wanted = ROWS[row]
    if isinstance(wanted, int):
        wanted = "A" if ours.key.a.system == SYSTEMS[wanted] else "B"
    share = judged.shares.get(wanted)
    if share is None:
        return Cell(NOTHING)
    where = Where(row, ours.dataset, ours.scale, ANY_SPLIT, f"human_{head}")
    compared = compare(results.paper, where, share)
    text = f"assessment {ours.name} of {ours.dataset} {ours.key.split}: {compared}"
    return replace(
        estimated(share), hint=text, tone=TONES[compared.verdict], below=f"n {share.n:,}: {compared.verdict}"
    )


def _lead(ours: Assessment, found: Mapping[str, Judged]) -> str:
    alphas = ", ".join(f"{_alpha(judged)} for {name}" for name, judged in found.items())
    excluded = len(ours.annotators) - len(ours.counted)
    text = (
        f"Ours: {len(ours.pairs)} pairs of {ours.dataset} {ours.key.split}, {len(ours.counted)} annotators counted and "
    )
    return f"{text}{excluded} excluded; Krippendorff's alpha {alphas}."


def _alpha(judged: Judged) -> str:
    return "not defined" if judged.alpha is None else f"{judged.alpha:.2f}"


def _missing(results: Results) -> tuple[str, str]:
    """Why there is no assessment of ours, and the command that begins one; empty if none can."""
    pair = paper_pair(results)
    if pair:
        runs = " ".join(f"{run.record.get('sweep', '')}/{run.run_id}" for run in pair)
        return "nobody has assessed pairs of ours", f"rag-lightning assess --runs {runs}"
    column = next(one for one in results.paper.tables["table2"].columns if one.dataset == _dataset(results))
    commands = [results.command(system, column) for system in SYSTEMS]
    return NO_RUNS, " && ".join(commands) if all(commands) else ""


def _dataset(results: Results) -> str:
    return results.paper.tables["table4"].columns[0].dataset


def paper_pair(results: Results) -> Pair | None:
    """Runs of the paper's two systems on its data that answered one split, the test split first; None without them."""
    (printed, *_) = results.paper.tables["table4"].columns
    for split in ("test", "dev"):
        column = replace(printed, split=split, metric="bleu1")
        found = [runs[0] for system in SYSTEMS if (runs := results.find(system, column))]
        if len(found) == len(SYSTEMS) and all(_has_outputs(results, run) for run in found):
            return found[0], found[1]
    return None


def _has_outputs(results: Results, run: Run) -> bool:
    return all(find_artifact(results.config.folder, run, kind) for kind in ("examples", "predictions"))


def _listed(ours: Sequence[Assessment]) -> Table:
    """A row per assessment and question."""
    heads = ("A better", "B better", "both good", "both poor", "no majority", "alpha")
    columns = (Column("assessment", numeric=False), Column("question", numeric=False), *map(Column, heads))
    rows = []
    for one in ours:
        systems = f"A: {one.key.a.label}; B: {one.key.b.label}"
        for question in QUESTIONS:
            found = judge(one, question.name)
            excluded = len(one.annotators) - len(one.counted)
            facts = [f"{found.n} of {len(one.pairs)} pairs judged, {found.alone} by one annotator only"]
            people = f"{len(one.counted)} annotators, {excluded} excluded"
            facts += [f"{one.earlier} earlier files of the same annotators left out"] if one.earlier else []
            shares = [estimated(share) for share in found.shares.values()] or [Cell(NOTHING)] * (len(heads) - 1)
            hint = "\n".join((f"A is {one.key.a.run}, B is {one.key.b.run}", people, *facts))
            below = f"{found.n} of {len(one.pairs)} pairs; {people}"
            cells = (Cell(one.name, below=systems), Cell(question.name, below=below), *shares)
            rows.append(Row((*cells, number(found.alpha, 2)), hint=hint))
    notes = ("alpha: Krippendorff's, nominal, over the pairs without the control items.",)
    return Table("Human assessments of ours", columns, tuple(rows), notes, "table4-ours", ordered=True)


def _annotators(ours: Sequence[Assessment]) -> Table:
    heads = ("assessment", "annotator", "pairs answered", "control items right", "counted")
    columns = tuple(Column(head, numeric=head in heads[2:4]) for head in heads)
    rows = []
    for one in ours:
        for place, annotator in enumerate(one.annotators, 1):
            full = set.intersection(*(set(answers) for answers in annotator.answers.values())) & set(one.pairs)
            cells = (Cell(one.name), Cell(f"annotator {place}"), Cell(f"{len(full)} of {len(one.pairs)}", len(full)))
            right = Cell(f"{annotator.right} of {annotator.controls}", annotator.right)
            why = Cell(f"no ({annotator.excluded})", tone="bad") if annotator.excluded else Cell("yes", tone="good")
            rows.append(Row((*cells, right, why)))
    notes = ("Annotators are numbered by the names of their files, which are not shown.",)
    title = "Annotators of the human assessments"
    return Table(title, columns, tuple(rows), notes, "table4-annotators", folded=True, ordered=True)


def _proxy(results: Results) -> Table:
    """The proxy of the paper's pair: in its own table, so that nobody takes it for an assessment."""
    title = f"Automatic proxy for Table 4, no human assessment, {results.config.scale} runs"
    columns = (Column("preference", numeric=False), *(Column(f"{name}, proxy") for name in MEANS))
    names = (*(f"{name} higher" for name in SYSTEMS), "equal")
    pair, found = paper_pair(results), Proxy({}, dict.fromkeys(MEANS, NO_RUNS))
    if pair:
        try:
            found = compute_proxy(results.config.folder, pair)
        except ConfigError as error:
            found = replace(found, missing=dict.fromkeys(MEANS, str(error)))
    rows = []
    for name, preference in zip(names, PREFERENCES, strict=True):
        cells = [_proxied(found, question, preference) for question in MEANS]
        rows.append(Row((Cell(name), *cells)))
    notes = [f"{name}: {text}." for name, text in MEANS.items()]
    if pair:
        labels = "; ".join(f"{name}: {run.label}" for name, run in zip(SYSTEMS, pair, strict=True))
        notes.append(f"All shared questions of {pair[0].dataset} {pair[0].split}. {labels}.")
    notes += [f"{name}: not run ({why})." for name, why in found.missing.items()]
    return Table(title, columns, tuple(rows), tuple(notes), "table4-proxy", lead=PROXY, ordered=True)


def _proxied(found: Proxy, question: str, preference: str) -> Cell:
    share = found.shares.get(question, {}).get(preference)
    return estimated(share) if share else Cell("not run", hint=found.missing[question], tone="missing")
