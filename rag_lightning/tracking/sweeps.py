"""A sweep in MLflow: the description of its page, its metrics and params."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from rag_lightning.core.files import read_sealed
from rag_lightning.core.redact import redact
from rag_lightning.report.paper import Compared, Paper, compare
from rag_lightning.report.reading import need
from rag_lightning.report.tables import escape_markdown
from rag_lightning.runs import monitor
from rag_lightning.tracking import contents, pages
from rag_lightning.tracking.contents import cut
from rag_lightning.tracking.store import TEXT_LIMIT, millis


def sweep_page(
    described: Mapping[str, Any], runs: Sequence[pages.Shown], paper: Paper, place: pages.Place, run_id: str
) -> str:
    """The description of a sweep: what was searched on what, the best systems, all runs.

    Args:
        described: The content of sweep.json.
        runs: All runs of the sweep.
        paper: The published numbers.
        place: Where the pages are.
        run_id: MLflow id of the sweep.
    """
    objective, spec = str(described.get("objective", "")), described.get("spec", {})
    trials = [run for run in runs if run.record["role"] == "trial"]
    done = [run for run in runs if run.record["status"] == "finished"]
    if not spec:
        text = f"{len(runs)} runs outside of sweeps. All runs:"
        return cut("\n".join([text, "", *_links(runs, place)]), TEXT_LIMIT)
    finals = sorted((r for r in done if r.record["role"] == "final"), key=lambda r: -pages.mean(r, objective))
    state = str(described.get("status") or ("finished" if described.get("finished") else "running"))
    lines = [
        f"**{state}**: {len(trials)} trials of {escape_markdown(', '.join(spec.get('space', {})))} for the best "
        f"{escape_markdown(objective)} on {escape_markdown(str(described['dataset']))} dev "
        f"(scale {described['scale']}, sampler {spec.get('sampler')}, seed {spec.get('seed')}). "
        f"{place.run('Report', run_id, 'index.html')}.",
        "",
        *(f"- Chosen: {pages.headline(run, paper, _link(run, place))}" for run in finals),
        "",
    ]
    if described.get("problem"):
        lines += [escape_markdown(cut(redact(str(described["problem"])))), ""]
    tested = [run for run in done if run.record["split"] == "test"]
    if tested:
        lines += [
            "**On test: the chosen system of each formulation (final), and baselines**",
            "",
            *_systems(tested, objective, paper, place),
        ]
    on_dev = [run for run in done if run.record["split"] == "dev"]
    lines += ["**Best on dev**", "", *_systems(on_dev, objective, None, place)] if on_dev else []
    if warnings := described.get("warnings"):
        lines += ["**About these numbers**", "", *(f"- {escape_markdown(cut(str(one)))}" for one in warnings), ""]
    fields = (f"{pages.code(name)} {pages.code(', '.join(map(str, values)))}" for name, values in _choices(spec))
    lines += ["**Searched**", "", *(f"- {cut(field)}" for field in fields), ""]
    lines += [*pages.origin(runs[0].record), ""] if runs else []
    head = "\n".join([*lines, "**All runs**", "", ""])
    return head + fitting(_links(runs, place), TEXT_LIMIT - len(head))


def _choices(spec: Mapping[str, Any]) -> Iterable[tuple[str, Sequence[Any]]]:
    for name, choices in spec.get("space", {}).items():
        if isinstance(choices, Mapping):
            yield name, [f"{part} {value}" for part, value in choices.items()]
        else:
            yield name, choices if isinstance(choices, Sequence) and not isinstance(choices, str) else [choices]


def _systems(runs: Sequence[pages.Shown], objective: str, paper: Paper | None, place: pages.Place) -> list[str]:
    ranked = sorted(runs, key=lambda run: -pages.mean(run, objective))[: pages.MOST_ROWS]
    named = f"| system | role | {escape_markdown(objective)} | 95 % interval |"
    beside, rule = (" paper | verdict |", "---:|---|") if paper else ("", "")
    lines = [f"{named}{beside} s/query | index MB |", f"|---|---|---:|:---:|{rule}---:|---:|"]
    for run in ranked:
        record, ours = run.record, run.estimate(objective)
        if ours is None:
            continue
        cells = [
            _link(run, place),
            str(record["role"]),
            pages.value(ours),
            pages.interval(ours),
            *(_beside(compare(paper, pages.where(record, objective), ours)) if paper else ()),
            pages.number(record["timings"].get("seconds_per_query"), 3),
            pages.number(record["work"].get("index_bytes", 0) / 1e6),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _beside(compared: Compared) -> tuple[str, str]:
    """The paper's number and the verdict, empty where the paper has none."""
    return pages.number(compared.paper_value), "" if compared.paper_value is None else str(compared.verdict)


def _links(runs: Sequence[pages.Shown], place: pages.Place) -> list[str]:
    return [f"- {run.record['split']}: {_link(run, place)}" for run in runs]


def _link(run: pages.Shown, place: pages.Place) -> str:
    label = str(run.record["label"])
    return place.run(label, run.run_id) if run.run_id else escape_markdown(label)


def fitting(lines: Sequence[str], room: int) -> str:
    """The lines that fit in so many characters, and the number of the others."""
    text = "\n".join(lines)
    if len(text) <= room:
        return text
    kept: list[str] = []
    for line in lines:
        if sum(map(len, kept)) + len(kept) + len(line) > room - 80:
            break
        kept.append(line)
    return "\n".join([*kept, f"- and {len(lines) - len(kept)} more: open the run in the table to see those below it"])


def sweep_metrics(folder: Path, described: Mapping[str, Any], shown: list[pages.Shown]) -> list[Metric]:
    """The best score on dev over the trials, the best on test, counts, and the load of the machine."""
    objective, done = str(described.get("objective", "")), [run for run in shown if run.record["ended"]]
    done.sort(key=lambda run: (run.record["ended"], run.record["run_id"]))
    metrics, best = [], float("-inf")
    trials = [run for run in done if run.record["role"] == "trial" and run.estimate(objective)]
    for step, run in enumerate(trials, 1):
        found, ended = run.estimate(objective), millis(run.record["ended"])
        best = max(best, found.mean if found else best)
        metrics += [Metric("best_dev", round(best, 2), ended, step), Metric("trials", step, ended, step)]
    tested = [(run, found) for run in done if run.record["role"] == "final" and (found := run.estimate(objective))]
    if tested:
        run, found = max(tested, key=lambda pair: pair[1].mean)
        metrics.append(Metric("best_test", round(found.mean, 2), millis(run.record["ended"]), 0))
    if described.get("finished") or described.get("problem"):
        rows = contents.thinned(list(enumerate(monitor.samples(folder))))
        metrics += [Metric(name, value, row["time"], i) for i, row in rows for name, value in row["load"].items()]
    return metrics


def sweep_params(described: Mapping[str, Any]) -> dict[str, str]:
    """The params of a sweep: its search and its space."""
    spec = described.get("spec", {})
    params = {name: str(spec[name]) for name in ("sampler", "trials", "seed") if name in spec}
    params |= {name: ", ".join(map(str, spec[name])) for name in ("objectives", "constraints") if spec.get(name)}
    space = {f"space.{name}": contents.cut(str(value)) for name, value in spec.get("space", {}).items()}
    return dict(list((params | space).items())[: contents.MOST_PARAMS])


def read_sweep(path: Path) -> dict[str, Any]:
    """The content of sweep.json; empty if the file does not exist.

    Raises:
        DataError: it is damaged.
    """
    if not path.exists():
        return {}
    raw = read_sealed(path)
    for name in ("dataset", "scale", "objective"):
        need(path, raw, name, str)
    spec = need(path, raw, "spec", dict)
    need(path, spec, "space", dict, "spec")
    for name in ("objectives", "constraints"):
        need(path, {name: []} | spec, name, list, "spec")
    need(path, {"warnings": []} | raw, "warnings", list)
    return raw


def read_selection(path: Path) -> dict[str, Any]:
    """The content of selection.json; empty if the file does not exist.

    Raises:
        DataError: it is damaged.
    """
    if not path.exists():
        return {}
    raw = read_sealed(path)
    for row in need(path, {"candidates": []} | raw, "candidates", list):
        need(path, row, "label", str, "candidates")
        for name in ("mean", "difference", "p"):
            if row.get(name) is not None:
                need(path, row, name, (int, float), "candidates")
    return raw
