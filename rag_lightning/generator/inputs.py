"""Input text of the generator: named templates from (query, passage) to token ids.

`ours`: the tokenizer's pair encoding of the query and "title. text"; only the passage is ever cut.
`hf_rag`: transformers' exact string (RagRetriever, paper notes 1.2): the generator's prefix, passage first, question
last, cut from the right, which may eat the question; needed for the released checkpoints. RagRetriever knows a question
by the ids of the question encoder alone, and decodes them: an uncased one lower-cases it and moves spaces.

Prompts of a decoder-only generator: the template `prompt`.

    {title}. {text}\n\nQuestion: {question}\nAnswer:        closed book begins at "Question: "

The parts are tokenized apart, so that the passage alone is cut, exactly, and every prompt ends in the same token. That
token is not stored with the prompt: it is what decoding is fed first, as a seq2seq decoder is fed its start token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Passage, passage_text

TITLE_END = ". "
"""Separator of title and text of a passage in the input of a generator."""
ROOM = 8
"""Tokens of a passage that must fit beside the question."""


@dataclass(frozen=True)
class Pair:
    """A query with one passage; None is closed book."""

    query: str
    passage: Passage | None


def hf_rag_text(pair: Pair, prefix: str = "", question_tokenizer: Any = None) -> str:
    """transformers' string, whose separators are its own (` / ` and ` // `); closed book is the query alone.

    Args:
        pair: A query with one passage.
        prefix: The generator's own prefix of every input.
        question_tokenizer: The question encoder's, whose decoding of the query is used; None for the query as it is.
    """
    if pair.passage is None:
        return pair.query
    query, title = pair.query, pair.passage.title.removeprefix('"').removesuffix('"')
    if question_tokenizer is not None:
        query = question_tokenizer.decode(question_tokenizer(query)["input_ids"], skip_special_tokens=True)
    return f"{prefix}{title} / {pair.passage.text} // {query}".replace("  ", " ")


def encode_pairs(
    tokenizer: Any,
    pairs: Sequence[Pair],
    template: str,
    max_length: int,
    prefix: str = "",
    question_tokenizer: Any = None,
) -> list[list[int]]:
    """Token ids of each pair, special tokens included, at most `max_length` long.

    Args:
        tokenizer: The generator's.
        pairs: Queries with their passages.
        template: `ours` or `hf_rag`.
        max_length: Largest number of tokens.
        prefix: As in `hf_rag_text`, of that template only.
        question_tokenizer: As in `hf_rag_text`, of that template only.

    Raises:
        ConfigError: under `ours`, a query so long that it leaves no room for a passage.
    """
    if not pairs:
        return []
    if template == "hf_rag":
        texts = [hf_rag_text(pair, prefix, question_tokenizer) for pair in pairs]
        return [list(row) for row in tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]]
    queries = tokenizer([p.query for p in pairs])["input_ids"]
    for pair, row in zip(pairs, queries, strict=True):
        _check_room(pair.query, len(row), max_length)
    with_passage = [i for i, p in enumerate(pairs) if p.passage is not None]
    if with_passage:
        encoded = tokenizer(
            [pairs[i].query for i in with_passage],
            [passage_text(pairs[i].passage, TITLE_END) for i in with_passage],  # type: ignore[arg-type]
            truncation="only_second",
            max_length=max_length,
        )["input_ids"]
        for i, row in zip(with_passage, encoded, strict=True):
            queries[i] = row
    return [list(row) for row in queries]


def pad_ids(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Right-padded ids [P, S] and their mask [P, S] (1 = token), on the device."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.fromiter((token for row in rows for token in row), np.int64, lengths.sum())
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask.astype(np.int64)).to(device)


def encode_targets(tokenizer: Any, texts: Sequence[str], eos_id: int, max_length: int) -> list[list[int]]:
    """Scored target tokens: the pieces of each text and the end token, at most `max_length` long.

    The start token is never scored, the end token always is (a cut target keeps its end).
    """
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [[*row[: max_length - 1], eos_id] for row in rows]


def shift_right(targets: Tensor, start_id: int) -> Tensor:
    """[..., T] targets -> [..., T] decoder inputs: the start token, then all but the last target."""
    start = torch.full_like(targets[..., :1], start_id)
    return torch.cat([start, targets[..., :-1]], dim=-1)


CLOSING = "\nAnswer:"


def closing_ids(tokenizer: Any) -> list[int]:
    """Tokens of the end of every prompt; the last one is fed to decoding.

    Raises:
        ConfigError: a tokenizer that gives no token for it.
    """
    ids: list[int] = tokenizer(CLOSING, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ConfigError(f"generator: its tokenizer has no token for {CLOSING!r}, the end of the template `prompt`")
    return ids


def encode_prompts(tokenizer: Any, pairs: Sequence[Pair], max_length: int) -> list[list[int]]:
    """Token ids of each prompt without its last token, at most `max_length` long.

    Raises:
        ConfigError: a question so long that it leaves no room for a passage.
    """
    if not pairs:
        return []
    first = _first_ids(tokenizer)
    asked = tokenizer([_question(p.query, p.passage is None) for p in pairs], add_special_tokens=False)["input_ids"]
    texts = ["" if p.passage is None else passage_text(p.passage, TITLE_END) for p in pairs]
    shown = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    closing = closing_ids(tokenizer)[:-1]
    rows = []
    for pair, question, passage in zip(pairs, asked, shown, strict=True):
        own = len(first) + len(question) + len(closing)
        _check_room(pair.query, own, max_length)
        rows.append([*first, *passage[: max_length - own], *question, *closing])
    return rows


def query_lengths(tokenizer: Any, queries: Sequence[str], template: str, closed_book: bool = False) -> list[int]:
    """Number of input tokens of each query without its passage, under `ours` or `prompt`."""
    if template != "prompt" or not queries:
        return [len(row) for row in tokenizer(list(queries), verbose=False)["input_ids"]] if queries else []
    texts = [_question(query, closed_book) for query in queries]
    around = len(_first_ids(tokenizer)) + len(closing_ids(tokenizer)) - 1
    return [len(row) + around for row in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]]


def leaves_room(length: int, max_length: int) -> bool:
    """Whether a query of `length` input tokens leaves room for a passage; queries are never cut."""
    return length + ROOM <= max_length


def _check_room(query: str, length: int, max_length: int) -> None:
    if not leaves_room(length, max_length):
        raise ConfigError(
            f"the query {query[:80]!r} has {length} tokens, too many for generator.max_source_length={max_length}; "
            "queries are never cut: raise it"
        )


def _question(query: str, closed_book: bool) -> str:
    return f"{'' if closed_book else chr(10) * 2}Question: {query}"


def _first_ids(tokenizer: Any) -> list[int]:
    """The first token that the model was trained with, if any: what its tokenizer does to a text says so."""
    ids, first = tokenizer("a")["input_ids"], tokenizer.bos_token_id
    return [first] if first is not None and ids[:1] == [first] else []
