"""Prompts of a decoder-only generator: the template `prompt`.

    {title}. {text}\\n\\nQuestion: {question}\\nAnswer:        closed book begins at "Question: "

The parts are tokenized apart, so that the passage alone is cut, exactly, and every prompt ends in the same token. That
token is not stored with the prompt: it is what decoding is fed first, as a seq2seq decoder is fed its start token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.inputs import Pair, passage_text

CLOSING = "\nAnswer:"
ROOM = 8
"""Tokens of a passage that must fit beside the question."""


def closing_ids(tokenizer: Any) -> list[int]:
    """Tokens of the end of every prompt; the last one is fed to decoding.

    Raises:
        ConfigError: a tokenizer that makes nothing of it.
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
    first = [] if tokenizer.bos_token_id is None or not _adds_bos(tokenizer) else [tokenizer.bos_token_id]
    asked = tokenizer([_question(p) for p in pairs], add_special_tokens=False)["input_ids"]
    texts = ["" if p.passage is None else passage_text(p.passage) for p in pairs]
    shown = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    closing = closing_ids(tokenizer)[:-1]
    rows = []
    for pair, question, passage in zip(pairs, asked, shown, strict=True):
        room = max_length - len(first) - len(question) - len(closing)
        if room < ROOM:
            raise ConfigError(
                f"the query {pair.query[:80]!r} has {len(question)} tokens in the prompt, too many for "
                f"generator.max_source_length={max_length}; queries are never cut: raise it"
            )
        rows.append([*first, *passage[:room], *question, *closing])
    return rows


def _question(pair: Pair) -> str:
    return f"{'' if pair.passage is None else chr(10) * 2}Question: {pair.query}"


def _adds_bos(tokenizer: Any) -> bool:
    """Whether the model was trained with a first token: what its tokenizer does to a text says so."""
    ids = tokenizer("a")["input_ids"]
    return bool(ids) and ids[0] == tokenizer.bos_token_id
