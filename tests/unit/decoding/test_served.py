"""Decoding by a server: a stub over the tiny Llama gives what the local generator gives; failures are one line."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import ConfigError, ServerError
from rag_lightning.core.records import Example, Passage
from rag_lightning.decoding import web as client
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.question import Question
from rag_lightning.decoding.served import open_served
from rag_lightning.decoding.server import Server
from rag_lightning.decoding.strategy import check_strategy
from rag_lightning.generator.causal import CausalGenerator

MODEL, LENGTH = "toy", 3
TEXTS = [("a", "b c a"), ("c", "a a"), ("b", "c c b a"), ("", "b")]
PASSAGES = [Passage(str(n), title, text) for n, (title, text) in enumerate(TEXTS)]
QUESTIONS = [
    Question(Example("1", "a b", ("a",)), (0, 1, 2), (2.0, 1.5, 0.5)),
    Question(Example("2", "c", ("b",)), (3, 1), (1.0, 0.2)),
    Question(Example("3", "b b c", ("c",)), (2,), (0.3,)),
]


class Stub:
    """An OpenAI-compatible server over a transformers Llama, which shares no code with the decoding that it checks.

    Attributes:
        asked: The bodies of all requests.
        keys: The authorisation of all requests.
        named: Whether it names token ids.
        broken: What it answers in the place of an answer, if anything.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.named, self.serves = True, MODEL
        self.broken: list[tuple[int, Any]] = []

    @torch.inference_mode()
    def complete(self, prompt: list[int], asked: dict[str, Any]) -> dict[str, Any]:
        ids = list(prompt)
        if asked.get("echo"):
            logs = self.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            values = [None, *(float(logs[at - 1, token]) for at, token in enumerate(ids) if at)]
            return {
                "finish_reason": "length",
                "text": "",
                "logprobs": {"tokens": list(map(str, ids)), "token_logprobs": values},
            }
        reason = "length"
        while len(ids) < len(prompt) + asked["max_tokens"]:
            ids.append(int(self.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] in asked["stop_token_ids"]:
                reason = "stop"
                break
        new = ids[len(prompt) :]
        names = [f"token_id:{token}" for token in new] if self.named else self.tokenizer.convert_ids_to_tokens(new)
        text = self.tokenizer.decode(new, skip_special_tokens=True)
        return {
            "finish_reason": reason,
            "text": text,
            "logprobs": {"tokens": names, "token_logprobs": [0.0] * len(new)},
        }

    def answer(self, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        if self.broken:
            return self.broken.pop(0)
        if body is None:
            return 200, {"data": [{"id": self.serves}]} if path == "/v1/models" else {}
        choices = [{"index": n, **self.complete(prompt, body)} for n, prompt in enumerate(body["prompt"])]
        return 200, {"model": self.serves, "choices": choices[::-1]}


@contextmanager
def running(stub: Stub) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(None)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.asked.append(body)
            self.reply(body)

        def reply(self, body: dict[str, Any] | None) -> None:
            stub.keys.append(self.headers["Authorization"])
            code, answer = stub.answer(self.path, body)
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "/v1/elsewhere")
            self.end_headers()
            with suppress(BrokenPipeError):  # of a client that waits no longer
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def stub(toy_llama: CausalGenerator) -> Stub:
    return Stub(toy_llama.model, toy_llama.tokenizer)


@pytest.fixture
def url(stub: Stub) -> Iterator[str]:
    with running(stub) as found:
        yield found


@pytest.fixture
def served(llama_folder: Path) -> Encodings:
    config = GeneratorConfig(template="prompt", max_source_length=40, max_target_length=LENGTH)
    return open_served(llama_folder, config)


def config_of(strategy: str, **options: Any) -> DecodingConfig:
    return DecodingConfig(strategy, {"max_length": LENGTH, **options}, k=3, dtype="float32")


def predictor(served: Encodings, strategy: str, url: str, store: PairStore | None = None) -> Predictor:
    config = config_of(f"{strategy}_served", server=url, served_model=MODEL)
    passages: Any = PASSAGES
    return Predictor("rag_sequence", served, config, passages, store)


@pytest.mark.parametrize("strategy", ["thorough", "fast"])
def test_answers_and_log_probs_are_those_of_the_local_generator(
    toy_llama: CausalGenerator, served: Encodings, url: str, strategy: str
) -> None:
    passages: Any = PASSAGES
    local = Predictor("rag_sequence", Encodings(toy_llama), config_of(strategy), passages).predict(QUESTIONS)
    found = predictor(served, strategy, url).predict(QUESTIONS)
    assert {len(one.hypotheses) for one in local} > {1}, "a question has several candidates"
    for mine, theirs in zip(local, found, strict=True):
        assert (mine.example_id, mine.text, mine.raw_text) == (theirs.example_id, theirs.text, theirs.raw_text)
        assert [h.token_ids for h in mine.hypotheses] == [h.token_ids for h in theirs.hypotheses]
        for ours, its in zip(mine.hypotheses, theirs.hypotheses, strict=True):
            assert its.log_prob == pytest.approx(ours.log_prob, abs=1e-5)
            assert its.passage_log_probs == pytest.approx(ours.passage_log_probs, abs=1e-5)


def test_stored_pairs_are_not_asked_for_again(served: Encodings, stub: Stub, url: str) -> None:
    store = PairStore()
    first = predictor(served, "thorough", url, store).predict(QUESTIONS)
    stub.asked.clear()
    assert predictor(served, "thorough", url, store).predict(QUESTIONS) == first and stub.asked == []
    assert config_of("thorough_served", served_model="x").made().stored != config_of("fast_served").made().stored


def test_the_key_of_the_environment_is_sent_and_nowhere_else(
    served: Encodings, stub: Stub, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    asking = predictor(served, "fast", url)
    asking.predict(QUESTIONS)
    assert set(stub.keys) == {"Bearer sk-secret"} and "sk-secret" not in json.dumps(stub.asked)
    stub.broken = [(401, {"error": {"message": "wrong key at http://ann:pass@host"}})]
    with pytest.raises(ServerError) as caught:
        asking.predict([Question(Example("4", "c c", ("b",)), (0,), (1.0,))])
    assert str(caught.value) == f"server {url}: 401 Unauthorized: wrong key at http://ann:***@host"


def test_a_server_that_is_busy_is_asked_again(
    served: Encodings, stub: Stub, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WAITS", (0.0, 0.0))
    asking = predictor(served, "fast", url)
    stub.broken = [(503, {}), (429, {})]
    assert len(asking.predict(QUESTIONS)) == 3
    stub.broken = [(503, {})] * 3
    with pytest.raises(ServerError, match=r"503 Service Unavailable, 3 times tried; start it and run again"):
        Server(url, MODEL).check()


def test_a_server_that_dies_is_one_line_within_seconds(served: Encodings, stub: Stub) -> None:
    with running(stub) as url:
        asking = predictor(served, "thorough", url)
    began = time.monotonic()
    with pytest.raises(ServerError, match=r"^server http://127.0.0.1:\d+/v1: does not answer \(.*refused\), 5 times"):
        asking.predict(QUESTIONS)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, {"model": "other", "choices": []}), "answers with the model 'other', not 'toy'"),
        ((200, {"model": MODEL, "choices": []}), "gives 0 answers to"),
        ((200, b"<html>"), "is it the URL of an OpenAI-compatible server?"),
        ((200, [1]), "does not answer a JSON object"),
        ((400, {"message": "prompt too long"}), "400 Bad Request: prompt too long"),
        ((302, {}), "302 Found"),
    ],
)
def test_answers_that_are_none(served: Encodings, stub: Stub, url: str, answer: tuple[int, Any], says: str) -> None:
    asking = predictor(served, "fast", url)
    stub.broken = [answer]
    with pytest.raises(ServerError, match=says) as caught:
        asking.predict(QUESTIONS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("file:///etc/hosts", r"decoding\.server=file:///etc/hosts: must be http://HOST:PORT/v1"),
        ("http://me:secret@host/v1", r"decoding\.server: holds a user or password; put a key into OPENAI_API_KEY"),
    ],
)
def test_addresses_that_are_none(served: Encodings, address: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}$"):
        predictor(served, "fast", address)


def test_log_probs_that_are_none(stub: Stub, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(values: list[Any]) -> None:
        choice = {"index": 0, "logprobs": {"token_logprobs": values}}
        stub.broken = [(200, {"model": MODEL, "choices": [choice]})]

    for values, says in (([None, -1.0], "gives 2 log-probs for a prompt of 3"), ([None, -1.0, "x"], "gives 'x'")):
        answer(values)
        with pytest.raises(ServerError, match=says):
            Server(url, MODEL).log_probs([[1, 2, 3]], [1])
    answer([None, -1.5, -0.5])
    assert Server(url, MODEL).log_probs([[1, 2, 3]], [2]) == [-2.0]
    with monkeypatch.context() as patch, pytest.raises(ServerError, match=r"no answer within 0\.01 s; raise"):
        patch.setattr(stub, "answer", lambda path, body: (time.sleep(0.3), (200, {}))[1])
        Server(url, MODEL, timeout=0.01).check()
    stub.named = False
    with pytest.raises(ServerError, match="does not name the tokens that it writes by their ids; it must take"):
        Server(url, MODEL).complete([[1, 2]], 2, 3, 9)


def test_another_model_is_refused_before_anything_is_asked(served: Encodings, stub: Stub, url: str) -> None:
    stub.serves = "other"
    with pytest.raises(ServerError, match=r"serves other, not decoding\.served_model='toy'"):
        predictor(served, "fast", url)
    assert stub.asked == []


def test_what_a_server_cannot_do(served: Encodings, toy: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"does not decode rag_token \(a server gives log-probs of texts, not the next-"
    ):
        check_strategy("rag_token", "thorough_served")
    passages: Any = PASSAGES
    with pytest.raises(ConfigError, match=r"set decoding\.server \(its URL\) and decoding\.served_model"):
        Predictor("rag_sequence", served, config_of("fast_served"), passages)
    config = config_of("fast_served", server="http://127.0.0.1:1/v1", served_model=MODEL)
    with pytest.raises(ConfigError, match="is for decoder-only generators"):
        Predictor("rag_sequence", Encodings(toy), config, passages)
