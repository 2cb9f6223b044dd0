"""Every mistake on the command line is one clear line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_lightning import cli
from rag_lightning.cli import explain, main
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError, Terminated
from tests.run_folders import Called

ROOT = Path(__file__).parents[2]


def raising(error: BaseException) -> Callable[[str], Callable[..., None]]:
    def stage(*arguments: Any) -> None:
        raise error

    return lambda target: stage


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The message on stderr: exactly one line, no traceback."""
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and shown.endswith("\n"), shown
    assert shown.startswith("rag-lightning: ") and "Traceback" not in shown
    return shown.removeprefix("rag-lightning: ").rstrip()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweeps"], "unknown command 'sweeps': did you mean 'sweep'?"),
        (["corpus", "--sed", "3"], "unknown key '--sed'; did you mean '--seed'"),
        (["corpus", "--index.knd=flat"], "unknown key '--index.knd'; did you mean '--index.kind'"),
        (["corpus", "--seed", "x"], "seed: must be int, not 'x'"),
        (["corpus", "--seed", "1.5"], "seed: must be int, not '1.5'"),
        (["corpus", "--train.lr", "fast"], "train.lr: must be float, not 'fast'"),
        (["corpus", "--encoder.normalize", "maybe"], "encoder.normalize: must be bool, not 'maybe'"),
        (["corpus", "--index.kind", "hnws"], "'hnws': did you mean 'hnsw' or 'hnsw_sq8'? known: flat, sq8"),
        (["corpus", "--decoding.strategy", "greedi"], "unknown decoding 'greedi': did you mean 'greedy'?"),
        (["corpus", "--retriever.kind", "bm52"], "unknown retriever 'bm52': did you mean 'bm25'?"),
        (["corpus", "--formulation", "rag_tokens"], "not 'rag_tokens'; did you mean 'rag_token'?"),
        (["corpus", "--task.train", "a.csv"], "task.train: must be list, such as [a, b], not 'a.csv'"),
        (["corpus", "--train.trainer", "[1]"], "train.trainer: must be mapping"),
        (["corpus", "--index", "flat"], "'--index' is a section; its keys are written --index.KEY"),
        (["corpus", "--index.k1", "1"], "'--index.k1'; 'k1' is a field of section bm25; did you mean '--bm25.k1'?"),
        (["corpus", "--trian.lr=1"], "biencoder, retriever_warmup, reader, train; did you mean '--train.lr'"),
        (["corpus", "--index.k", "flat"], "unknown key '--index.k'"),
        (["corpus", "--decoding.k", "1.5"], "decoding.k: must be int, not '1.5'"),
        (["corpus", "--reader.seed", "x"], "reader.seed: must be int or null, not 'x'"),
        (["corpus", "--config"], "argument --config: expected one argument"),
        (["corpus", "more"], "unknown key 'more'"),
        (["inspect"], "the following arguments are required: run"),
        (["inspect", "r1", "--questoin", "x"], "unknown key '--questoin'; did you mean '--question'?"),
        (["sweep", "--sampler", "tpee"], "must be one of tpe, random, nsga2, grid, not 'tpee'; did you mean 'tpe'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], called: Called
) -> None:
    assert main(words) == 2
    assert said in complaint(capsys)
    assert called == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed: 3\n", "unknown key 'sed'; did you mean 'seed'?"),
        ("index: {knd: flat}\n", "unknown key 'index.knd'; did you mean 'index.kind'"),
        ("index: {kind: 3}\n", "index.kind: must be str, not '3'"),
        ("index: {k1: 3}\n", "unknown key 'index.k1'; 'k1' is a field of section bm25; did you mean 'bm25.k1'?"),
        ("index: flat\n", "index=flat: is a section; its fields are index.FIELD"),
        ("index: {kind: hnsw, m: 1}\n", "index.m=1: must be 2 to 2,048"),
        ("decoding: {k: 0}\n", "decoding.k=0: must be at least 1"),
        ("seed: many\n", "seed: must be int, not 'many'"),
        ("index: [\n", "is not YAML"),
        ("[1, 2]\n", "is not a YAML mapping"),
        ("", "is not a YAML mapping"),
        ("# only a comment\n", "is not a YAML mapping"),
    ],
)
def test_a_bad_file_is_named(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], called: Called
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    assert main(["corpus", "--seed", "1", "--config", str(file)]) == 2
    shown = complaint(capsys)
    assert shown.startswith(f"{file}: ") and said in shown
    assert called == []


def test_a_mistake_beside_a_good_file_is_not_blamed_on_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.yaml"
    file.write_text("seed: 1\n")
    assert main(["corpus", "--config", str(file), "--seed", "x"]) == 2
    assert complaint(capsys).startswith("seed: must be int")


def test_a_missing_file_is_named_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "fever.yaml").touch()
    assert main(["sweep", "--config", "sweeps/fevre.yaml"]) == 2
    assert complaint(capsys) == (
        "sweeps/fevre.yaml: no such file (sweeps holds fever.yaml); did you mean 'fever.yaml'?"
    )


def test_a_message_nobody_foresaw_is_passed_on() -> None:
    assert explain("something new", []) == "something new"


# --- how a stage ends ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("k=50 exceeds the corpus"), 2, "k=50 exceeds the corpus"),
        (ArtifactError("a/b: was altered;\nremove it"), 1, "a/b: was altered; remove it"),
        (DataError("q.tsv", "is empty", row=3, field="question"), 1, "q.tsv, row 3, field 'question': is empty"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to continue"),
        (Terminated(), 143, "ended by SIGTERM; run the same command again to continue"),
        (OSError(28, "No space left on device", "runs/a"), 1, "runs/a: No space left on device"),
    ],
)
def test_an_error_of_a_stage_is_one_line_and_an_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "load", raising(error))
    assert main(["corpus"]) == code
    assert complaint(capsys).startswith(said)


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(2, "a bug")])
def test_a_bug_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load", raising(error))
    with pytest.raises(type(error), match="a bug"):
        main(["corpus"])
