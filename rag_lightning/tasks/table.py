"""The tasks as a Markdown table, made from their specs."""

from __future__ import annotations

from rag_lightning.tasks.spec import TASKS, TaskSpec, get_task

HEAD = ("task", "paper", "read from", "hub", "licence", "train / dev / test (printed)", "metrics", "citation")


def task_table() -> str:
    """One row a task, in the order of the registry; counts are the true ones, the paper's where they differ behind."""
    rows = [HEAD, ("---",) * len(HEAD), *(_row(get_task(name)) for name in TASKS)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _row(task: TaskSpec) -> tuple[str, ...]:
    layouts = ", ".join(layout.name for layout in task.layouts)
    hub = f"`{':'.join(filter(None, (task.hub.name, task.hub.configuration)))}`" if task.hub else "none official"
    metrics = ", ".join(f"`{name}`" for name in task.metrics)
    return f"`{task.name}`", task.title, layouts, hub, task.licence, _counts(task), metrics, task.citation


def _counts(task: TaskSpec) -> str:
    true = " / ".join(f"{task.counts[part]:,}" for part in task.counts)
    printed = " / ".join(f"{task.printed[part]:,}" for part in task.counts)
    return true if true == printed else f"{true} ({printed})"
