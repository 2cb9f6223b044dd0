"""A corpus of eight Chinese passages, a question about each, and a reader's answers to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rag_lightning.config.data import CorpusConfig, TaskConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import BM25Config, RetrieverConfig
from tests.tiny_project import write_lines

ROWS = (
    ("苹果", "苹果是一种秋天成熟的水果，果皮多为红色。", "什么水果在秋天成熟", "苹果"),
    ("西瓜", "西瓜是夏天的水果，果肉多汁而甜。", "夏天吃的多汁水果叫什么", "西瓜"),
    ("灯塔", "灯塔建在海边，夜里用光为船只指路。", "海边为船只指路的建筑是什么", "灯塔"),
    ("算盘", "算盘用珠子计数，过去的商人用它记账。", "过去的商人用什么记账", "算盘"),
    ("风筝", "风筝用竹子和纸做成，春天在空中飞。", "竹子和纸做成、在空中飞的是什么", "风筝"),
    ("骆驼", "骆驼生活在沙漠里，背上的驼峰储存脂肪。", "沙漠里背上有驼峰的动物", "骆驼"),
    ("温度计", "温度计用来测量温度，里面常有水银。", "测量温度用什么", "温度计"),
    ("毛笔", "毛笔是写书法的工具，笔头用羊毛做成。", "写书法用什么工具", "毛笔"),
)
"""Title, text, question, answer."""


def experiment(root: Path, language: str) -> ExperimentConfig:
    """Lexical retrieval over the passages; the files are written beside the project."""
    data = root / "data"
    data.mkdir(parents=True, exist_ok=True)
    passages = [{"id": f"p{i}", "title": title, "text": text} for i, (title, text, _, _) in enumerate(ROWS)]
    asked = [
        {"id": f"q{i}", "question": question, "answers": [answer], "gold_passage_id": f"p{i}"}
        for i, (_, _, question, answer) in enumerate(ROWS)
    ]
    questions = str(write_lines(data / "questions.jsonl", asked))
    plain = ExperimentConfig(
        folder=str(root),
        task=TaskConfig(dataset="fruits", train=(questions,), dev=questions, test=questions),
        corpus=CorpusConfig(source=str(write_lines(data / "corpus.jsonl", passages)), language=language),
        bm25=BM25Config(score_scale=1.0),
        retriever=RetrieverConfig("bm25", k_max=2),
    )
    return replace(plain, decoding=DecodingConfig(k=2))


def predictions(root: Path, form: str = "{}") -> Path:
    """A file of the right answers, each in a form."""
    rows = [{"id": f"q{i}", "text": form.format(answer)} for i, (*_, answer) in enumerate(ROWS)]
    return write_lines(root / "predictions.jsonl", rows)
