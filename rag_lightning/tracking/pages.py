"""Descriptions of runs, sweeps and trainings in Markdown, as MLflow shows them on their pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.core.plain import clean
from rag_lightning.core.redact import redact
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.paper import Compared, Paper, Where, compare, is_held_out, paper_system
from rag_lightning.report.reading import estimate_of
from rag_lightning.report.tables import escape_markdown
from rag_lightning.runs.record import SUMMARY
from rag_lightning.tracking.contents import MOST_METRICS, cut, found_family
from rag_lightning.tracking.store import TEXT_LIMIT

NOTE = "mlflow.note.content"
"""Tag of the description."""
ROLES = {
    "trial": "a trial of the search on dev",
    "baseline": "a baseline, evaluated beside the search",
    "final": "chosen on dev, evaluated on test",
    "cell": "a cell of the matrix",
}
MOST_ROWS = 10
"""Largest number of rows of a table in a description."""
GUIDE = """\
**[All runs]({all})** · **[trials, best first]({trials})** · **[chosen systems, on test]({chosen})**

Runs of rag-lightning on this task. A sweep is a run with its systems below it; trainings are runs of their own. What a
system is, its score beside the paper's, and why it was chosen stand in the description of each run.

Search strings to paste above the table:

- `tags.role = "final"` the chosen systems on test
- `tags.role = "trial" and metrics.em > 50 and params.retriever = "bm25"`
- `tags.role = "model"` the trainings
- `metrics.seconds_per_query < 0.05 and metrics.index_mb < 20`
"""
TABLE = "#/experiments/{id}/runs?workflowType=machine_learning&viewStateShareKey="
VIEWS = {"all": "", "trials": 'tags.role = "trial"', "chosen": 'tags.role = "final"'}
"""Shared view of the table of runs -> its search."""
WIDTHS = {"params.`formulation`": 120, "params.`k`": 50, "attributes.`Dataset`": 230}


def about(objective: str) -> dict[str, str]:
    """Tags of an experiment: its kind in the UI, its description, the shared views; {id} in them is its id."""
    text = GUIDE.format(**{name: TABLE + name for name in VIEWS})
    return {"mlflow.experimentKind": "custom_model_development", NOTE: text, **shared_views(objective)}


def shared_views(objective: str) -> dict[str, str]:
    """Tags that hold the shared views of the table of runs, as the UI stores them: columns, search, order.

    Args:
        objective: Metric that orders systems.
    """
    plain = [f"tags.`{name}`" for name in ("role", "sweep", "split")]
    plain += [f"params.`{name}`" for name in ("formulation", "decoding", "retriever", "k")]
    costs = [f"metrics.`{name}`" for name in ("answer_recall_at_5", "seconds_per_query", "index_mb")]
    tags = {}
    for name, search in VIEWS.items():
        scores = [f"metrics.`{one}`" for one in (() if search else ("best_dev", "best_test", "trials"))]
        columns = [*plain, *scores, f"metrics.`{objective}`", *costs, "attributes.`Dataset`"]
        order = {"orderByKey": f"metrics.`{objective}`", "orderByAsc": False} if search else {}
        state = {"selectedColumns": columns, "columnOrder": columns, "columnWidths": WIDTHS}
        tags[f"mlflow.sharedViewState.{name}"] = json.dumps({**state, "searchFilter": search, **order})
    return tags


@dataclass(frozen=True)
class Place:
    """Where the pages of an experiment are."""

    experiment_id: str

    def run(self, text: str, run_id: str, path: str = "") -> str:
        """A link to the page of a run, or to one of its files."""
        tail = f"/artifacts/{path}" if path else ""
        return f"[{escape_markdown(text)}](#/experiments/{self.experiment_id}/runs/{run_id}{tail})"


@dataclass(frozen=True)
class Shown:
    """One run as a page shows it: record, summary, and its MLflow id ("" before it is sent)."""

    record: Mapping[str, Any]
    summary: Mapping[str, Any]
    run_id: str

    def estimate(self, metric: str) -> Estimate | None:
        """The estimate of a metric, None if the run has none.

        Raises:
            DataError: it is damaged.
        """
        found = self.summary.get("metrics", {}).get(metric)
        path = Path(self.record["sweep"]) / self.record["run_id"] / SUMMARY
        return estimate_of(path, found, f"metrics.{metric}") if found else None


def run_page(
    run: Shown, paper: Paper, place: Place, parent: str, trainings: Mapping[str, str], choice: str = ""
) -> str:
    """The description of a run: its result in one sentence, then scores beside the paper's, warnings, cost, links.

    Args:
        run: The run.
        paper: The published numbers.
        place: Where the pages are.
        parent: MLflow id of the sweep.
        trainings: Title of a training -> its MLflow id.
        choice: How it did in the search.
    """
    record = run.record
    lines = [headline(run, paper), ""]
    if record["status"] != "finished":
        problem = escape_markdown(redact(str(record.get("problem") or "it has no result yet")))
        lines += [f"**{record['status']}**: {problem}", ""]
    role = ROLES.get(str(record["role"]), str(record["role"]))
    sweep = f"Sweep {place.run(record['sweep'], parent)} ({place.run('report', parent, 'index.html')}): {role}."
    lines += [f"{sweep} {escape_markdown(choice)}", "", *_scores(run, paper)]
    if notes := [str(note) for note in record["notes"]]:
        lines += ["**Warnings**", "", *(f"- {escape_markdown(cut(note))}" for note in notes), ""]
    lines += [_cost(record), ""]
    if trainings:
        lines += ["Trained as: " + ", ".join(place.run(title, run_id) for title, run_id in trainings.items()) + ".", ""]
    tables = ("config.yaml", "metrics.json", "slices.json", "predictions.json")
    lines += ["Files: " + ", ".join(place.run(name, run.run_id, name) for name in tables) + "."]
    return cut("\n".join([*lines, *origin(record)]), TEXT_LIMIT)


def headline(run: Shown, paper: Paper, name: str = "") -> str:
    """One sentence: system (as `name`), score with interval, the paper's number and the verdict."""
    record, names = run.record, list(run.summary.get("metrics", {}))
    system = name or f"**{escape_markdown(record['label'])}**"
    text = f"{system} on {escape_markdown(record['dataset'])} {record['split']}"
    ours = run.estimate(names[0]) if names else None
    if ours is None:
        return f"{text}."
    found = interval(ours)
    text += f": {escape_markdown(names[0])} {value(ours)}" + (f" (95 % interval {found})" if found else "")
    compared = compare(paper, where(record, names[0]), ours)
    if compared.paper_value is None:
        return f"{text}. The paper has no such number."
    return f"{text}; the paper's {paper_system(record['config'])}: {compared.paper_value:.1f}, {verdict(compared)}."


def verdict(compared: Compared) -> str:
    """A verdict in bold with its reason."""
    return f"**{compared.verdict}**" + (f" ({escape_markdown(compared.why)})" if compared.why else "")


def choice(selection: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """How a system did in the search on dev; empty if it was not compared."""
    objective = selection.get("objective")
    for row in selection.get("candidates", ()):
        if row.get("label") == record["label"] and row.get("mean") is not None:
            gap, p = row.get("difference") or 0.0, row.get("p")
            text = f"On dev: {objective} {row['mean']:.1f}, "
            text += f"{gap:+.1f} to the best of its formulation" if gap else "the best of its formulation"
            text += f" (p = {p:.4f})" if gap and p is not None else ""
            chosen = "; chosen as the cheapest system that is not significantly worse than the best"
            return f"{text}{chosen if row.get('chosen') else ''}."
    return ""


def _scores(run: Shown, paper: Paper) -> list[str]:
    """The table of the main scores; verdicts and their reasons."""
    record, names = run.record, _shown_metrics(run.summary)
    if not names:
        return []
    lines = ["| metric | ours | 95 % interval | questions | paper | verdict |", "|---|---:|:---:|---:|---:|---|"]
    for name in names:
        ours = run.estimate(name)
        if ours is None:
            continue
        compared = compare(paper, where(record, name), ours)
        cells = [escape_markdown(name), value(ours), interval(ours), str(ours.n), number(compared.paper_value)]
        lines.append(f"| {' | '.join(cells)} | {verdict(compared) if compared.paper_value is not None else ''} |")
    return [*lines, ""]


def where(record: Mapping[str, Any], metric: str) -> Where:
    """The setting of a number of a run, for the comparison with the paper's."""
    config = record["config"]
    held_out = is_held_out(config, record["split"])
    return Where(paper_system(config), record["dataset"], record["scale"], record["split"], metric, held_out)


def _shown_metrics(summary: Mapping[str, Any]) -> list[str]:
    """The metrics without cut-off, and those of finding the answer with 1, 5 and 20 passages."""
    names, family = list(summary.get("metrics", {})), found_family(summary)
    wanted = [name for name in names if "@" not in name] + [f"{family}@{k}" for k in (1, 5, 20)]
    return [name for name in wanted if name in names][:MOST_ROWS]


def _cost(record: Mapping[str, Any]) -> str:
    timings, work = record["timings"], record["work"]
    parts = []
    if "seconds_per_query" in timings:
        split = ", ".join(f"{name} {timings[name]:.3f}" for name in ("retrieve", "generate") if name in timings)
        parts.append(f"{timings['seconds_per_query']:.3f} s per question ({split})")
    if work.get("index_bytes"):
        parts.append(f"index {work['index_bytes'] / 1e6:.1f} MB")
    if "pairs" in work:
        parts.append(f"pairs of question and passage per question {work['pairs']}, beams {work.get('beams', 0)}")
    return f"Cost: {'; '.join(parts)}." if parts else ""


def origin(record: Mapping[str, Any]) -> list[str]:
    """Lines that name the command, commit and machine."""
    git, hardware = record["git"], record["hardware"]
    commit = f"commit {str(git.get('sha') or 'unknown')[:12]}" + (" with local changes" if git.get("dirty") else "")
    machine = f"{hardware.get('cores', '?')} cores, {hardware.get('memory_gib', '?')} GiB"
    command = [f"Command: {code(record['command'])}.", ""] if record.get("command") else []
    return ["", *command, f"Made by {commit} on {machine}."]


def training_page(kind: str, manifest: Mapping[str, Any], place: Place, made_from: Mapping[str, str]) -> str:
    """The description of a training: what was trained, its settings, its result, what it started from."""
    info, config = manifest["info"], manifest.get("config", {})
    lines = [
        f"**{kind}** {manifest['digest']}: the training behind the systems that name it; its curves are the metrics.",
        "",
        "| fact | value |",
        "|---|---|",
    ]
    facts = {"formulation": config.get("formulation"), "task": config.get("task.name")}
    facts |= {name: value for name, value in info.items() if not isinstance(value, Mapping | list)}
    facts["minutes"] = round(float(manifest.get("seconds", 0)) / 60, 1)
    shown = [(name, value) for name, value in facts.items() if value is not None][:MOST_METRICS]
    lines += [f"| {escape_markdown(name)} | {escape_markdown(_text(value))} |" for name, value in shown]
    alarms = info.get("alarms") or {}
    if alarms:
        lines += ["", "**Alarms of the watch**", "", *(f"- {escape_markdown(_text(one))}" for one in alarms.items())]
    if made_from:
        lines += ["", "Started from: " + ", ".join(place.run(title, run_id) for title, run_id in made_from.items())]
    return cut("\n".join(lines), TEXT_LIMIT)


def mean(run: Shown, metric: str) -> float:
    """The mean of a metric, minus infinity without one."""
    found = run.estimate(metric)
    return float("-inf") if found is None else found.mean


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def code(text: object) -> str:
    """Text as code, on one line, also inside a table."""
    return "`" + cut(clean(str(text))).replace("`", "'").replace("|", "/") + "`"


def value(estimate: Estimate) -> str:
    """The mean of an estimate, in bold."""
    return f"**{estimate.mean:.{1 if estimate.unit == '%' else 3}f}**"


def interval(estimate: Estimate) -> str:
    """The interval of an estimate, empty without one."""
    if estimate.low is None or estimate.high is None:
        return ""
    digits = 1 if estimate.unit == "%" else 3
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def number(found: float | None, digits: int = 1) -> str:
    """A rounded number, empty for None."""
    return "" if found is None else f"{found:.{digits}f}"
