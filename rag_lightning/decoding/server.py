"""A Llama behind an OpenAI-compatible server (vLLM): greedy candidates, and log p(y|x,z) as log-probs of a prompt.

The completions API (https://platform.openai.com/docs/api-reference/completions) takes prompts as token ids, so that the
server tokenizes nothing; `echo` with `logprobs` and no new token gives the log-prob of each token of the prompt. vLLM
adds `stop_token_ids`, `ignore_eos` and `return_tokens_as_token_ids`
(https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_lightning.core.errors import ConfigError, ServerError
from rag_lightning.core.redact import redact
from rag_lightning.decoding.web import ask, check_url, quoted

TOGETHER = 64
"""Prompts of a request."""
TOKEN_ID = "token_id:"
NAMED = re.compile(rf"{TOKEN_ID}[0-9]{{1,9}}\Z")
LONGEST_WAIT = 86_400
"""Seconds to wait for an answer, a day."""
LOWEST, HIGHEST = -1e6, 1e-3
"""A number outside is no log-prob."""


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
        """Raise ConfigError as `check_url`, or for a timeout that is none."""
        check_url(self.url)
        if not 0 < self.timeout <= LONGEST_WAIT:
            raise ConfigError(f"decoding.server_timeout={self.timeout}: must be above 0, and at most {LONGEST_WAIT:,}")

    def check(self) -> None:
        """Raise ServerError unless the server is there and serves the model."""
        names = [str(one.get("id")) for one in _objects(ask(self.url, "models", None, self.timeout), "data")]
        if self.model not in names:
            listed = ", ".join(names) or "none"
            raise ServerError(f"{self._shown}: serves {quoted(listed)}, not decoding.served_model={self.model!r}")

    def complete(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, end: int, vocabulary: int
    ) -> list[Completion]:
        """The greedy continuation of each prompt of token ids, up to the token `end`.

        Args:
            prompts: Token ids.
            max_tokens: The largest length of a continuation.
            end: Token that ends it.
            vocabulary: Number of tokens that the model has.

        Raises:
            ServerError: as `ask`; or an answer is no continuation of at most that length, or broke off before it.
        """
        asked = {
            "max_tokens": max_tokens,
            "stop_token_ids": [end],
            "ignore_eos": True,
            "return_tokens_as_token_ids": True,
            "skip_special_tokens": False,
        }
        return [self._completion(choice, max_tokens, vocabulary) for choice in self._choices(prompts, asked)]

    def log_probs(self, prompts: Sequence[Sequence[int]], scored: Sequence[int]) -> list[float]:
        """The sum of the log-probs of the last so many tokens of each prompt.

        Raises:
            ServerError: as `ask`; or it does not give the log-prob of each token of a prompt.
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
        if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST <= value <= HIGHEST:
            raise ServerError(f"{self._shown}: gives {quoted(repr(value), 40)} in the place of a log-prob")
        return min(float(value), 0.0)

    def _completion(self, choice: Mapping[str, Any], longest: int, vocabulary: int) -> Completion:
        names = [str(token) for token in _listed(choice, "tokens")]
        if not names or not all(NAMED.match(name) for name in names):
            problem = "does not name the tokens that it writes by their ids"
            raise ServerError(f"{self._shown}: {problem}; it must take `return_tokens_as_token_ids`, as vLLM does")
        ids, reason = tuple(int(name.removeprefix(TOKEN_ID)) for name in names), choice.get("finish_reason")
        if max(ids) >= vocabulary:
            problem = f"writes token {max(ids)}, but the generator has {vocabulary} tokens"
            raise ServerError(f"{self._shown}: {problem}; serve the generator of the experiment")
        if len(ids) > longest or (reason != "stop" and len(ids) < longest):
            problem = f"ends after {len(ids)} of {longest} tokens (finish_reason={quoted(repr(reason), 40)})"
            raise ServerError(f"{self._shown}: {problem}; look at the server and the longest context that it has")
        return Completion(ids, reason == "stop")

    def _choices(self, prompts: Sequence[Sequence[int]], asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The answer to each prompt, in their order."""
        for start in range(0, len(prompts), TOGETHER):
            group = [list(prompt) for prompt in prompts[start : start + TOGETHER]]
            body = {"model": self.model, "prompt": group, "temperature": 0, "logprobs": 1, **asked}
            answer = ask(self.url, "completions", body, self.timeout)
            if answer.get("model") not in (None, self.model):
                name = quoted(answer["model"], 80)
                raise ServerError(f"{self._shown}: answers with the model {name!r}, not {self.model!r}")
            choices = _objects(answer, "choices")
            if sorted(str(one.get("index")) for one in choices) != sorted(map(str, range(len(group)))):
                problem = f"gives {len(choices)} answers to {len(group)} prompts, not one of each index"
                raise ServerError(f"{self._shown}: {problem}; look at the server")
            yield from sorted(choices, key=lambda one: int(one["index"]))


def _objects(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of a list in an answer; empty where it has none."""
    found = answer.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _listed(choice: Mapping[str, Any], name: str) -> list[Any]:
    """A list in the log-probs of an answer; empty where it has none."""
    held = choice.get("logprobs")
    found = held.get(name) if isinstance(held, Mapping) else None
    return found if isinstance(found, list) else []
