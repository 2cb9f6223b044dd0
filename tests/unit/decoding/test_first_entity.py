"""The baseline that reads nothing: which name it takes, and what probability it gives it."""

from __future__ import annotations

import math

import pytest
import torch

from rag_lightning.decoding.first_entity import decode, first_entity


@pytest.mark.parametrize(
    ("query", "text", "name"),
    [
        ("who discovered penicillin", "Penicillin was found by Alexander Fleming in London.", "Alexander Fleming"),
        ("where is it", "It is in the Bay of Bengal, near India.", "Bay of Bengal"),
        ("what is the capital of peru", "Peru has a capital. The capital of Peru is Lima.", "Lima"),
        ("who wrote it", "After The Beatles, John Lennon's band, it was over.", "Beatles"),
        ("who was it", "Then Jean-Luc Émile Zidane. Of France.", "Jean-Luc Émile Zidane"),
        ("which car", "a BMW", "BMW"),
        ("who", "In the end of it all, the of and nothing.", ""),
        ("who", "", ""),
    ],
)
def test_the_first_name_that_the_question_does_not_hold(query: str, text: str, name: str) -> None:
    assert first_entity(query, text) == name


def test_passages_of_one_name_add_up() -> None:
    """A generator that writes the first name with certainty, under RAG-Sequence."""
    texts = ["Rome is old.", "it was in Paris", "nothing here", "and Paris again"]
    prior = torch.tensor([0.4, 0.3, 0.1, 0.2]).log()
    found = decode("where", texts, prior)
    assert [h.text for h in found] == ["Paris", "Rome", ""]
    assert [h.log_prob for h in found] == pytest.approx([math.log(p) for p in (0.5, 0.4, 0.1)])
    assert found[0].passage_log_probs == (None, 0.0, None, 0.0)
    assert decode("where", texts[:1], torch.zeros(1))[0].text == "Rome"
