"""Opens models that others made: settings, tokenizers and weights, of encoders, generators and RAG checkpoints alike.

A model is data here, JSON and safetensors that fit each other. Code that it brings never runs, nobody is asked whether
it may, and whatever is wrong with it is one line that names the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig
from transformers.utils import logging as transformers_logging

from rag_lightning.checkpoints.architectures import read_settings
from rag_lightning.core.errors import AssetError, DataError, RagLightningError
from rag_lightning.core.files import read_object

WEIGHTS, SHARDS = "model.safetensors", "model.safetensors.index.json"
CONVERT = "load it with transformers where you trust the file, and save_pretrained it again as safetensors"
VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",), ("tokenizer.model",))
"""Files of a tokenizer, one of these sets; without any, transformers silently makes an empty tokenizer."""
TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
REFUSED = {
    "auto_map": "names code of its own, which is never run; give a model that transformers knows without it",
    "transformers_weights": "names another file of weights; write them as model.safetensors",
}
"""Keys of a model's JSON that make transformers run code or read other files -> what is wrong with them."""
ATTENTION = re.compile(r"_?(attn|experts)_implementation(_internal)?")
LARGEST = {"layers": 1_000, "labels": 100_000, "": 1 << 24}
"""End of a setting's name -> the largest number it can have; "" of all other sizes."""
_SIZE = re.compile(r"d_model|.*(layers|labels|size|dim|heads|positions|embeddings)")
_SPARE = 4
"""How many times the numbers in its files a model may have: poolers are left out, and tied tables are written once."""


@contextmanager
def opening(what: str, source: Path | str) -> Iterator[None]:
    """Turn whatever goes wrong with a model of others into an AssetError of one line; our own errors pass.

    Args:
        what: What it is opened as: generator, encoder, RAG checkpoint.
        source: Its folder or hub name.
    """
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except DataError as error:
        raise AssetError(f"{what}: cannot be loaded: {error}") from error
    except RagLightningError:
        raise
    except Exception as error:
        raise AssetError(f"{what} {source}: cannot be loaded ({_line(error)})") from error
    finally:
        transformers_logging.set_verbosity(before)


def checked_settings(source: Path | str, what: str) -> dict[str, Any]:
    """config.json of a model, checked.

    Raises:
        AssetError: missing, no JSON object, naming no kind of model, code or other files, or sizes that no model has.
    """
    with opening(what, source):
        local = Path(source).is_dir()
        found = read_settings(Path(source)) if local else PretrainedConfig.get_config_dict(source)[0]
        file = Path(source) / "config.json"
        check_settings(file, found)
        if not isinstance(found.get("model_type"), str):  # transformers would guess it from the name of the folder
            raise DataError(file, "must be a string", field="model_type", value=found.get("model_type"))
    return found


def check_settings(file: Path, settings: Mapping[str, Any]) -> None:
    """Check the JSON of a model, with the parts in it.

    Raises:
        DataError: it names code or other files, or has sizes that no model has.
    """
    for name, value in settings.items():
        if value and name in REFUSED:
            raise DataError(file, REFUSED[name], field=name, value=value)
        if ATTENTION.fullmatch(name) and isinstance(value, str) and "/" in value:
            raise DataError(file, "names code of its own, which is never run", field=name, value=value)
        if isinstance(value, Mapping):
            check_settings(file, value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and (found := _SIZE.fullmatch(name)):
            largest = LARGEST.get(found[1] or "", LARGEST[""])
            if not 0 <= value <= largest:
                raise DataError(file, f"must be 0 to {largest:,}", field=name, value=value)


def open_settings(source: Path | str, what: str) -> Any:
    """The configuration of a model as transformers reads it.

    Raises:
        AssetError: as `checked_settings`, or of a kind that transformers does not know.
    """
    checked_settings(source, what)
    with opening(what, source):
        return AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=Path(source).is_dir())


def open_tokenizer(source: Path | str, what: str, settings: Any = None) -> Any:
    """The tokenizer in a folder.

    Args:
        source: The folder, or a hub name.
        what: What it is opened as.
        settings: The model's configuration, where the folder of the tokenizer has none.

    Raises:
        AssetError: missing, damaged, or naming code of its own.
    """
    folder, local = Path(source), Path(source).is_dir()
    if settings is None and (folder / "config.json").is_file():
        checked_settings(source, what)
    if local and not any(all((folder / name).is_file() for name in names) for names in VOCABULARIES):
        wanted = " or ".join(" with ".join(names) for names in VOCABULARIES)
        raise AssetError(f"{what}: {folder} lacks its vocabulary, {wanted}")
    with opening(f"tokenizer of the {what}", source):
        for file in (folder / name for name in TOKENIZER_FILES if (folder / name).is_file()):
            check_settings(file, read_object(file))
        if (folder / "tokenizer.json").is_file():
            with opening(f"tokenizer of the {what}", folder / "tokenizer.json"):
                Tokenizer.from_file(str(folder / "tokenizer.json"))  # transformers may make one of the rest
        return AutoTokenizer.from_pretrained(source, config=settings, trust_remote_code=False, local_files_only=local)


def open_model(cls: Any, source: Path | str, what: str, missing: str = "", **changes: Any) -> Any:
    """A model in float32, its weights read from safetensors only.

    Args:
        cls: transformers' class, or one of its Auto classes.
        source: Its folder, or a hub name.
        what: What it is opened as.
        missing: A part whose weights may be missing.
        changes: Fields of its configuration to set.

    Raises:
        AssetError: not there, damaged, only as pickle, of another shape than config.json says, or lacking weights.
    """
    checked_settings(source, what)
    local = Path(source).is_dir()
    with opening(what, source):
        if local:
            check_size(cls, open_settings(source, what), count_numbers(Path(source), what), Path(source))
        model, report = cls.from_pretrained(
            source,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            local_files_only=local,
            output_loading_info=True,
            **changes,
        )
        check_missing(report, Path(source) / WEIGHTS, missing)
    return model


def check_missing(report: Mapping[str, Any], file: Path, missing: str = "") -> None:
    """Raise DataError if weights are missing in a report of transformers, except those of the part `missing`."""
    lacking = sorted(key for key in report["missing_keys"] if not (missing and f"{missing}." in key))
    if lacking:
        raise DataError(file, f"its weights lack {lacking[0]} and {len(lacking) - 1} more", hint="wrong model type?")


def check_size(cls: Any, settings: Any, numbers: int, folder: Path) -> None:
    """Raise DataError if config.json describes a far larger model than its files hold; nothing of its size is made."""
    auto = hasattr(cls, "from_config")  # AutoModel and the like
    with torch.device("meta"):
        model = cls.from_config(settings, trust_remote_code=False) if auto else cls(settings)
    described = sum(parameter.numel() for parameter in model.parameters())
    if described > _SPARE * numbers:
        problem = f"describes a model of {described:,} parameters, and its weights are {numbers:,}"
        raise DataError(folder / "config.json", problem)


def weight_files(folder: Path, what: str) -> list[Path]:
    """The safetensors of a folder, which may be in shards.

    Raises:
        AssetError: none, or only pickle, which is never opened.
        DataError: the list of shards is damaged, or names files elsewhere.
    """
    index = folder / SHARDS
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if index.is_file():
        names = read_object(index).get("weight_map")
        if not isinstance(names, dict) or not names:
            raise DataError(index, "is missing or no object", field="weight_map")
        for name in names.values():
            if not isinstance(name, str) or name != Path(name).name or not name.endswith(".safetensors"):
                raise DataError(index, "must name a .safetensors file of the folder", field="weight_map", value=name)
        return [folder / name for name in sorted(set(names.values()))]
    pickles = sorted(p.name for pattern in ("*.bin", "*.pt", "*.ckpt") for p in folder.glob(pattern))
    found = f"only {', '.join(pickles)}, which is pickle and can run code" if pickles else "no safetensors"
    raise AssetError(f"{what} {folder}: cannot be loaded: has {found}; {CONVERT}")


def count_numbers(folder: Path, what: str) -> int:
    """How many numbers the weights of a folder hold, from the heads of their files.

    Raises:
        AssetError: as `weight_files`.
        DataError: a file that is missing, cut, or no safetensors.
    """
    total = 0
    for file in weight_files(folder, what):
        with safetensors(file) as opened:
            total += sum(prod(opened.get_slice(key).get_shape()) for key in opened.keys())  # noqa: SIM118 - no mapping
    return total


@contextmanager
def safetensors(file: Path) -> Iterator[Any]:
    """An open file of tensors.

    Raises:
        DataError: missing, cut, damaged, or another kind of file, such as a pickle of this name.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            yield opened
    except (OSError, SafetensorError) as error:
        raise DataError(file, f"cannot be read as safetensors: {_line(error)}", hint="fetch it again") from error


def _line(error: Exception) -> str:
    if "ignore_mismatched_sizes" in str(error):
        return "its weights have other shapes than config.json says"
    said = " ".join(str(error).split())[:200]
    return said if said and not isinstance(error, KeyError) else f"{type(error).__name__} {said}".rstrip()
