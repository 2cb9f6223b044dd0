"""Command `inspect`: the passages, posteriors and hypotheses behind one answer of a run or an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rag_lightning.config.commands import InspectConfig
from rag_lightning.config.loading import load_experiment
from rag_lightning.core.console import say, within, write
from rag_lightning.core.errors import ArtifactError, ConfigError, RagLightningError, written_as
from rag_lightning.core.files import write_text
from rag_lightning.core.plain import clean, shorten
from rag_lightning.core.shipped import find_shipped
from rag_lightning.inspect.page import page_of
from rag_lightning.report.collect import Run
from rag_lightning.report.page import to_text
from rag_lightning.report.side import finished_run
from rag_lightning.runs.system import label_of
from rag_lightning.serving.stored import Stored, open_run, read_one
from rag_lightning.stages import examples
from rag_lightning.stages.answer import Answer, by_token, show
from rag_lightning.stages.ask import open_system
from rag_lightning.stages.workspace import Workspace

YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Inspected:
    """An answer with where it comes from.

    Args:
        system: Label of the system.
        source: The run, and whether the answer was stored or is made now.
        query: The question.
        answer: The answer.
        accepted: Accepted answers; empty for a question of one's own.
        values: Metric -> value of the stored prediction, 0 to 1.
        notes: What a reader must know.
    """

    system: str
    source: str
    query: str
    answer: Answer
    accepted: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def run(config: InspectConfig, run: str) -> None:
    """Show the answer of a run or an experiment to a question, and write it as a page if a file is named.

    Args:
        config: The question and the file.
        run: A run, as in `folders.find_run`, or a YAML file of an experiment.

    Raises:
        ConfigError: no question, a question that the system cannot answer, or a file that cannot be written.
        UnknownNameError: no such run, or several.
        ArtifactError: an artifact of the run is gone or altered.
        DataError: a damaged file.
    """
    if not clean(config.question):
        raise ConfigError('question is empty; give --question "…", the text of a question or the id of one of the run')
    page = Path(config.html)
    if config.html and page.is_dir():
        raise ConfigError(f"html={config.html!r}: is a folder; name a file")
    option = f"html={config.html!r}"
    if config.html:
        with written_as(option):
            page.parent.mkdir(parents=True, exist_ok=True)
    of_file = run.endswith(YAML)
    found = _of_experiment(config, run) if of_file else _of_run(config, finished_run(config.folder, run))
    _print(found)
    if config.html:
        with written_as(option):
            write_text(page, to_text(page_of(found)))
        say(f"page              {page}")


def _of_run(config: InspectConfig, run: Run) -> Inspected:
    record, root, name = run.record, Path(config.folder), f"run {run.run_id}"
    stored = read_one(root, record, config.question)
    if stored is None:
        notes = _taken(config)
        try:
            with within("inspect"):
                answer = open_run(root, record).answer(clean(config.question))
        except ArtifactError as error:
            raise ArtifactError(". ".join((str(error), *notes))) from error
        return Inspected(run.label, f"{name}, answered now", config.question, answer, notes=notes)
    answer, notes = stored.answer, ()
    if run.config["formulation"] == "rag_token" and answer.passages and not answer.by_hypothesis:
        answer, notes = _with_tokens(root, record, stored)
    example, values = stored.example, stored.score.values
    source = f"{name}, stored prediction of question {example.example_id}"
    return Inspected(run.label, source, example.query, answer, example.answers, values, notes)


def _with_tokens(root: Path, record: Mapping[str, Any], stored: Stored) -> tuple[Answer, tuple[str, ...]]:
    """The stored answer with p(z|x,y_i) of its tokens, which the model computes; a note if the model is gone."""
    try:
        with within("inspect"):
            encodings = open_run(root, record).encodings
            tokens = by_token(encodings, stored.asked, stored.answer, "rag_token")
    except RagLightningError as error:
        return stored.answer, (f"No posterior by token, which is not stored: {error}.",)
    return replace(stored.answer, tokens=tokens), ()


def _of_experiment(config: InspectConfig, file: str) -> Inspected:
    experiment = load_experiment(find_shipped(file), {"folder": config.folder})
    workspace = Workspace(experiment)
    with within("inspect"):
        asked = examples.read(workspace, experiment.split)
        example = next((one for one in asked if one.example_id == config.question), None)
        query = example.query if example else clean(config.question)
        answer = open_system(workspace).answer(query)
    source = f"{file}, answered now" + (f": question {example.example_id} of {experiment.split}" if example else "")
    accepted, notes = (example.answers, ()) if example else ((), _taken(config))
    return Inspected(label_of(experiment), source, query, answer, accepted, notes=notes)


def _taken(config: InspectConfig) -> tuple[str, ...]:
    """A note that one word, which may be meant as an id, was taken as the text of a question."""
    word = clean(config.question)
    return () if " " in word else (f"There is no question with the id {shorten(word, 80)}: it was taken as a text.",)


def _print(found: Inspected) -> None:
    """The same in a terminal."""
    write(shorten(found.query), "bold")
    write(shorten(f"{found.system} — {found.source}"), "dim")
    if found.accepted:
        write(f"accepted: {shorten('; '.join(found.accepted))}")
    if found.values:
        values = (f"{name} {value:.2f}" for name, value in found.values.items() if "@" not in name)
        write("  ".join(map(shorten, values)))
    for note in found.notes:
        write(f"! {shorten(note)}")
    show(found.answer)
