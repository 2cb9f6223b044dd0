"""A server that answers nonsense, drips, floods or breaks off is one typed line, within its timeout."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from rag_lightning.core.errors import ConfigError, ServerError
from rag_lightning.decoding import web
from rag_lightning.decoding.server import Server

HUGE = "9" * 400


@contextmanager
def sending(parts: Iterator[bytes] | list[bytes]) -> Iterator[str]:
    """A server that reads one request, sends these bytes and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                with connection, connection.makefile("rb") as request:
                    head = b"".join(iter(request.readline, b"\r\n"))
                    length = re.search(rb"(?i)content-length: (\d+)", head)
                    request.read(int(length[1]) if length else 0)  # what is left unread would reset the connection
                    for part in parts:
                        connection.sendall(part)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        thread.join()


def answered(body: bytes, status: str = "200 OK") -> list[bytes]:
    return [f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body]


def one(**logprobs: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "logprobs": logprobs}]}).encode()


def twice() -> bytes:
    scored = {"index": 0, "logprobs": {"token_logprobs": [None, -1.0, -1.0]}}
    return json.dumps({"choices": [scored, scored]}).encode()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (one(token_logprobs=[None, False, -1.0]), "gives False in the place of a log-prob"),
        (one(token_logprobs=[None, float("nan"), -1.0]), "gives nan in the place of a log-prob"),
        (one(token_logprobs=[None, float("-inf"), -1.0]), "gives -inf in the place of a log-prob"),
        (one(token_logprobs=[None, -1.7e308, -1.7e308]), r"gives -1\.7e\+308 in the place of a log-prob"),
        (one(token_logprobs=[None, -1.0, 0]).replace(b"0]", f"-{HUGE}]".encode()), "gives -9.*in the place of a log-"),
        (twice(), "gives 2 answers to 1 prompts, not one of each index"),
        (b'{"choices": 5}', "gives 0 answers to 1 prompts"),
        (b'{"choices": [{"index": [0]}]}', "gives 1 answers to 1 prompts"),
        (b"[" * 200_000, "does not answer JSON"),
    ],
)
def test_log_probs_that_are_none(body: bytes, says: str) -> None:
    with sending(answered(body)) as url, pytest.raises(ServerError, match=f"^server {url}: {says}") as caught:
        Server(url, "toy").log_probs([[1, 2, 3]], [2])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("tokens", "reason", "says"),
    [
        (["token_id:9"], "stop", "writes token 9, but the generator has 9 tokens; serve the generator of the exper"),
        (["token_id:" + HUGE], "stop", "does not name the tokens"),
        (["token_id:٣"], "stop", "does not name the tokens"),
        (["token_id:1"] * 4, "length", r"ends after 4 of 3 tokens \(finish_reason='length'\); look at the server"),
        (["token_id:1"], "abort", r"ends after 1 of 3 tokens \(finish_reason='abort'\)"),
        (["token_id:1"], "length", "ends after 1 of 3 tokens"),
    ],
)
def test_continuations_that_are_none(tokens: list[str], reason: str, says: str) -> None:
    choice = {"index": 0, "finish_reason": reason, "logprobs": {"tokens": tokens}}
    with (
        sending(answered(json.dumps({"choices": [choice]}).encode())) as url,
        pytest.raises(ServerError, match=f"^server {url}: {says}"),
    ):
        Server(url, "toy").complete([[1, 2]], 3, 8, 9)


@pytest.mark.parametrize("body", [b'{"data": 5}', b'{"data": null}', b'{"data": ["toy"]}'])
def test_lists_of_models_that_are_none(body: bytes) -> None:
    with sending(answered(body)) as url, pytest.raises(ServerError, match=r"serves none, not decoding\.served_model"):
        Server(url, "toy").check()


def drops(start: bytes) -> Iterator[bytes]:
    """A byte every 20 ms for two seconds."""
    yield start
    for _ in range(100):
        time.sleep(0.02)
        yield b" "


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", r"gives no answer within 0\.2 s; raise decoding\.serv"),
        (b"HTTP/1.1 200 OK\r\nX-Slow:", r"gives no answer within 0\.2 s"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n", "400 Bad Request"),
    ],
)
def test_a_server_that_drips_is_left_when_the_timeout_is_over(start: bytes, says: str) -> None:
    with sending(drops(start)) as url:
        began = time.monotonic()
        with pytest.raises(ServerError, match=f"^server {url}: {says}"):
            Server(url, "toy", timeout=0.2).check()
        assert time.monotonic() - began < 1


def test_an_error_that_is_cut_short_or_endless_is_not_read_to_its_end() -> None:
    cut = [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{"]
    with sending(cut) as url, pytest.raises(ServerError, match=f"^server {url}: 400 Bad Request$"):
        Server(url, "toy").check()
    sent: list[int] = []

    def flood() -> Iterator[bytes]:
        yield b"HTTP/1.1 400 Bad Request\r\nContent-Length: 10000000000\r\n\r\n"
        while len(sent) < 200:
            sent.append(1)
            yield b" " * (1 << 20)

    with sending(flood()) as url, pytest.raises(ServerError, match=f"^server {url}: 400 Bad Request$"):
        Server(url, "toy").check()
    assert len(sent) < 30, "MiB"


@pytest.mark.parametrize("key", ["sk-secret\n", "sk secret", "sk-sécret"])
def test_a_key_that_no_header_can_hold_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(web.KEY, key)
    with pytest.raises(ConfigError, match=r"^OPENAI_API_KEY: holds a space, a line end or") as caught:
        Server("http://127.0.0.1:1/v1", "toy").check()
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("401 Unauthorized", b'{"error": {"message": "no such key: sk-mine"}}'),
        ("401 sk-mine", b""),
        ("200 OK", b'{"data": [{"id": "sk-mine"}]}'),
    ],
)
def test_a_key_that_the_server_repeats_is_not_shown(status: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(web.KEY, "sk-mine")
    with sending(answered(body, status)) as url, pytest.raises(ServerError, match=r"\*\*\*") as caught:
        Server(url, "toy").check()
    assert "mine" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e10])
def test_timeouts_that_are_none(timeout: float) -> None:
    with pytest.raises(ConfigError, match=r"^decoding\.server_timeout=.*: must be above 0, and at most 86,400$"):
        Server("http://127.0.0.1:1/v1", "toy", timeout)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://[::1",
        "http://a b/v1",
        "http://127.0.0.1:port/v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:1/v1\n",
        "http://127.0.0.1:1/v1?api_key=SECRET",
        "http://é.example/v1",
        "http://a..b/v1",
        f"http://{'a' * 64}/v1",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^decoding\.server=http.*: must be http://HOST:PORT/v1$") as caught:
        Server(url, "toy")
    assert "SECRET" not in str(caught.value) and "\n" not in str(caught.value)
