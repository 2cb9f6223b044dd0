"""What peers read: each format against its published schema, or the rules that its documents state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig

SCHEMA = json.loads((Path(__file__).parent / "every_eval_ever" / "eval.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tiny_sweep: SweepConfig) -> tuple[str, str]:
    """(name of a run on test that read two passages, its project)."""
    (path,) = (Path(tiny_sweep.experiment.folder) / "runs" / "tiny").glob("test-rag-token-bm25*")
    return f"tiny/{path.name}", tiny_sweep.experiment.folder


def exported(run: tuple[str, str], name: str, folder: Path) -> str:
    assert main(["export", run[0], "--format", name, "--to", str(folder / "out"), "--folder", run[1]]) == 0
    return (folder / "out").read_text(encoding="utf-8")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_eval_ever_is_valid_and_says_what_the_summary_says(run: tuple[str, str], tmp_path: Path) -> None:
    record = json.loads(exported(run, "every_eval", tmp_path))
    jsonschema.Draft7Validator(SCHEMA).validate(record)
    summary = json.loads((Path(run[1]) / "runs" / run[0] / "summary.json").read_text())["metrics"]
    by_name = {one["metric_config"]["metric_name"]: one for one in record["evaluation_results"]}
    assert by_name.keys() == summary.keys() and len(by_name) > 5
    em = by_name["em"]["score_details"]
    assert em["score"] == summary["em"]["mean"] and em["uncertainty"]["num_samples"] == 12
    interval = em["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (summary["em"]["low"], summary["em"]["high"])
    assert by_name["answer_recall@2"]["metric_config"]["metric_parameters"] == {"k": 2}
    assert all(one["metric_config"]["max_score"] >= one["score_details"]["score"] for one in by_name.values())
    assert run[1] not in json.dumps(record)
    del record["model_info"]["additional_details"]["deployment_type"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(record)


def test_trec_rag_is_as_the_track_asks(run: tuple[str, str], tmp_path: Path) -> None:
    """The fields of the guidelines of 2024; at most 20 references; citations are positions in them."""
    found = lines(exported(run, "trec_rag", tmp_path))
    assert len(found) == 12
    for one in found:
        assert list(one) == ["run_id", "topic_id", "topic", "references", "response_length", "answer"]
        assert all(isinstance(one[name], str) and one[name] for name in ("run_id", "topic_id", "topic"))
        assert len(one["references"]) == 2 and all(isinstance(name, str) for name in one["references"])
        assert one["response_length"] == sum(len(part["text"].split()) for part in one["answer"])
        assert [part["citations"] for part in one["answer"]] == [[0, 1]]


def test_kilt_is_what_its_own_reader_accepts(run: tuple[str, str], tmp_path: Path) -> None:
    """`validate_datapoint` of kilt/kilt_utils.py: types of input, answer, wikipedia_id and title; one output."""
    for one in lines(exported(run, "kilt", tmp_path)):
        assert isinstance(one["id"], str) and isinstance(one["input"], str) and len(one["output"]) == 1
        (output,) = one["output"]
        assert isinstance(output["answer"], str) and len(output["provenance"]) == 2
        for page in output["provenance"]:
            assert isinstance(page["wikipedia_id"], str) and isinstance(page["title"], str)


def test_a_trec_run_is_what_trec_eval_reads(run: tuple[str, str], tmp_path: Path) -> None:
    import ir_measures

    found = list(ir_measures.read_trec_run(exported(run, "trec", tmp_path)))
    assert len(found) == 24 and len({one.query_id for one in found}) == 12
    for above, below in zip(found[::2], found[1::2], strict=True):
        assert above.query_id == below.query_id and above.score > below.score


def test_several_runs_are_asked_to_be_one(
    run: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--folder", run[1], "--to", str(tmp_path / "out")]
    assert main(["export", "tiny", "--format", "kilt", *words]) == 2
    assert "is of one run; give one, such as tiny/test-" in capsys.readouterr().err
    assert main(["export", "tiny", "--format", "every-eval", *words]) == 2
    assert "did you mean 'every_eval'" in capsys.readouterr().err
    assert main(["export", "tiny", "--systems", "best", *words]) == 2
    assert main(["export", "tiny", "--folder", run[1], "--to", str(tmp_path)]) == 2
    assert "is a folder; give a file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
