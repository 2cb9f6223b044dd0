"""A Llama behind an OpenAI-compatible server (vLLM): greedy candidates, and log p(y|x,z) as log-probs of a prompt.

The completions API (https://platform.openai.com/docs/api-reference/completions) takes prompts as token ids, so that the
server tokenizes nothing; `echo` with `logprobs` and no new token gives the log-prob of each token of the prompt. vLLM
adds `stop_token_ids`, `ignore_eos` and `return_tokens_as_token_ids`
(https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from rag_lightning.core.compression import LONGEST
from rag_lightning.core.errors import ConfigError, ServerError
from rag_lightning.core.plain import clean, shorten
from rag_lightning.core.redact import redact

KEY = "OPENAI_API_KEY"
"""Environment variable with the server's key; it is in no configuration, message or record."""
WAITS = (0.2, 0.4, 0.8, 1.6)
"""Seconds before each new attempt at a server that cannot be reached or is overloaded: four, three seconds in all."""
TOGETHER = 64
"""Prompts of a request."""
AGAIN = {408, 429, 500, 502, 503, 504}
"""HTTP status codes of a server that may answer later."""
TOKEN_ID = "token_id:"
BOUND = 1e-3
"""A log-prob above 0 by more than this is none."""


@dataclass(frozen=True)
class Completion:
    """A greedy continuation.

    Attributes:
        token_ids: Its tokens.
        stopped: Whether it ended by itself, not at its largest length.
    """

    token_ids: tuple[int, ...]
    stopped: bool


@dataclass(frozen=True)
class Server:
    """A server of one model.

    Args:
        url: Its address up to /v1, as http://127.0.0.1:8000/v1.
        model: Name under which it serves the model.
        timeout: Seconds to wait for an answer.
    """

    url: str
    model: str
    timeout: float = 60.0

    def __post_init__(self) -> None:
        """Raise ConfigError for an address of another kind, or with a password."""
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"decoding.server={shorten(self.url, 200)}: must be http://HOST:PORT/v1")
        if "@" in self.url:
            raise ConfigError(f"decoding.server: holds a user or password; put a key into {KEY}")

    def check(self) -> None:
        """Raise ServerError unless the server is there and serves the model."""
        found = self._ask("models", None)
        names = [str(one.get("id")) for one in found.get("data", ()) if isinstance(one, Mapping)]
        if self.model not in names:
            listed = ", ".join(names) or "none"
            raise ServerError(f"{self._shown}: serves {shorten(listed, 200)}, not decoding.served_model={self.model!r}")

    def complete(self, prompts: Sequence[Sequence[int]], max_tokens: int, end: int) -> list[Completion]:
        """The greedy continuation of each prompt of token ids, up to the token `end`.

        Raises:
            ServerError: see the module's errors.
        """
        asked = {
            "max_tokens": max_tokens,
            "stop_token_ids": [end],
            "ignore_eos": True,
            "return_tokens_as_token_ids": True,
            "skip_special_tokens": False,
        }
        return [self._completion(choice) for choice in self._choices(prompts, asked)]

    def log_probs(self, prompts: Sequence[Sequence[int]], scored: Sequence[int]) -> list[float]:
        """The sum of the log-probs of the last so many tokens of each prompt.

        Raises:
            ServerError: see the module's errors; or it does not give the log-prob of each token of a prompt.
        """
        found = []
        choices = self._choices(prompts, {"max_tokens": 0, "echo": True})
        for choice, prompt, count in zip(choices, prompts, scored, strict=True):
            values = _listed(choice, "token_logprobs")
            if len(values) != len(prompt):
                problem = f"gives {len(values)} log-probs for a prompt of {len(prompt)} tokens"
                raise ServerError(
                    f"{self._shown}: {problem}; it must take `echo` and prompts of token ids, as vLLM does"
                )
            found.append(math.fsum(self._log_prob(value) for value in values[len(prompt) - count :]))
        return found

    @property
    def _shown(self) -> str:
        return redact(f"server {self.url}")

    def _log_prob(self, value: Any) -> float:
        if not isinstance(value, int | float) or not value <= BOUND or value == -math.inf:
            raise ServerError(f"{self._shown}: gives {shorten(repr(value), 40)} in the place of a log-prob")
        return min(float(value), 0.0)

    def _completion(self, choice: Mapping[str, Any]) -> Completion:
        names = [str(token) for token in _listed(choice, "tokens")]
        ids = [name.removeprefix(TOKEN_ID) for name in names if name.startswith(TOKEN_ID)]
        if not names or len(ids) < len(names) or not all(map(str.isdecimal, ids)):
            problem = "does not name the tokens that it writes by their ids"
            raise ServerError(f"{self._shown}: {problem}; it must take `return_tokens_as_token_ids`, as vLLM does")
        return Completion(tuple(map(int, ids)), choice.get("finish_reason") == "stop")

    def _choices(self, prompts: Sequence[Sequence[int]], asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The answer to each prompt, in their order."""
        for start in range(0, len(prompts), TOGETHER):
            group = [list(prompt) for prompt in prompts[start : start + TOGETHER]]
            body = {"model": self.model, "prompt": group, "temperature": 0, "logprobs": 1, **asked}
            answer = self._ask("completions", body)
            if answer.get("model") not in (None, self.model):
                name = shorten(str(answer["model"]), 80)
                raise ServerError(f"{self._shown}: answers with the model {name!r}, not {self.model!r}")
            choices = answer.get("choices")
            by_place = {one.get("index"): one for one in choices if isinstance(one, Mapping)} if choices else {}
            if sorted(by_place, key=str) != sorted(range(len(group)), key=str):
                raise ServerError(f"{self._shown}: gives {len(by_place)} answers to {len(group)} prompts")
            yield from (by_place[place] for place in range(len(group)))

    def _ask(self, what: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """The JSON object that the server answers; a server that cannot be reached is tried again for some seconds."""
        for wait in WAITS:
            try:
                return self._once(what, body)
            except _Unreached:
                time.sleep(wait)
        try:
            return self._once(what, body)
        except _Unreached as error:
            tried = f"{len(WAITS) + 1} times tried"
            raise ServerError(f"{self._shown}: {error}, {tried}; start it and run again") from error

    def _once(self, what: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """One attempt; raises _Unreached if another one may succeed."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        try:
            request = Request(f"{self.url.rstrip('/')}/{what}", data, headers)
            with _OPENER.open(request, timeout=self.timeout) as answer:
                text = answer.read(LONGEST + 1)
            if len(text) > LONGEST:
                raise ServerError(f"{self._shown}: answers more than {LONGEST >> 20} MiB")
            found = json.loads(text)
        except TimeoutError as error:
            remedy = "raise decoding.server_timeout, or look at the server"
            raise ServerError(f"{self._shown}: gives no answer within {self.timeout:g} s; {remedy}") from error
        except HTTPError as error:
            problem = f"{error.code} {error.reason}{_reason(error.read)}"
            if error.code in AGAIN:
                raise _Unreached(problem) from error
            raise ServerError(f"{self._shown}: {problem}") from error
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise _Unreached(f"does not answer ({clean(str(reason))})") from error
        except ValueError as error:
            raise ServerError(f"{self._shown}: {error}; is it the URL of an OpenAI-compatible server?") from error
        if not isinstance(found, dict):
            raise ServerError(f"{self._shown}: does not answer a JSON object; is it an OpenAI-compatible server?")
        return found


class _Unreached(Exception):
    """A server that may answer later."""


class _Stay(HTTPRedirectHandler):
    """Follows no redirection: the key would go with it, to whatever host it names."""

    def redirect_request(self, *given: Any) -> None:
        """Leave the redirection as the error that it is."""


_OPENER = build_opener(_Stay)


def _listed(choice: Mapping[str, Any], name: str) -> list[Any]:
    """A list in the log-probs of an answer; empty where it has none."""
    held = choice.get("logprobs")
    found = held.get(name) if isinstance(held, Mapping) else None
    return found if isinstance(found, list) else []


def _reason(read: Callable[[], bytes]) -> str:
    """What the server says about an error, as the end of a message."""
    try:
        said = json.loads(read())
        said = said.get("error", said)
        text = said.get("message", "") if isinstance(said, Mapping) else said
    except (ValueError, AttributeError, OSError):
        return ""
    return f": {shorten(clean(redact(str(text))), 200)}" if text else ""
