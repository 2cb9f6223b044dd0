"""The folder layout of transformers' RAG models (`facebook/rag-sequence-nq`, `facebook/rag-token-nq`).

`config.json` has `model_type: rag` with the configurations of both parts, the weights are safetensors whose keys begin
with `rag.question_encoder.` or `rag.generator.` (without `rag.` where a bare RagModel was saved), and each part has a
tokenizer in a folder of its own. Source: transformers 5.23, models/rag.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag_lightning.checkpoints.opening import (
    check_missing,
    check_settings,
    check_size,
    opening,
    safetensors,
    weight_files,
)
from rag_lightning.core.errors import AssetError, ConfigError, DataError
from rag_lightning.core.files import UNREADABLE, read_object

Part = Literal["generator", "question_encoder"]
CLASSES = {"rag_sequence": "RagSequenceForGeneration", "rag_token": "RagTokenForGeneration"}
"""Formulation -> the name transformers writes into `architectures`."""
KINDS: Mapping[Part, str] = {"generator": "bart", "question_encoder": "dpr"}
INPUT_TEXT = {"prefix": None, "title_sep": " / ", "doc_sep": " // "}
"""Settings of the input text that the template `hf_rag` writes."""
OURS = "rag_lightning"
"""Key of config.json for our own settings."""
TYPES: Mapping[str, tuple[type, str]] = {
    "architectures": (list, "a list"),
    "max_combined_length": (int, "a whole number"),
    OURS: (dict, "an object"),
}
"""Fields of config.json that are read before the model is -> their types."""
WHAT = "RAG checkpoint"


def is_rag(source: Path | str) -> bool:
    """Whether a folder is a RAG checkpoint by its config.json; False for a hub name or a folder without a readable one.

    The checkpoint itself is checked by `open_rag`.
    """
    return model_type(source) == "rag"


def model_type(source: Path | str) -> str:
    """The `model_type` in config.json of a folder; empty for a hub name or an unreadable one, which loading reports."""
    try:
        settings = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
    except (OSError, *UNREADABLE):
        return ""
    return str(settings.get("model_type", "")) if isinstance(settings, dict) else ""


@dataclass(frozen=True)
class RagCheckpoint:
    """A folder in the layout of transformers' RAG; weights are read when needed.

    Args:
        folder: Where it is.
        settings: Its config.json.
    """

    folder: Path
    settings: Mapping[str, Any]

    @property
    def formulation(self) -> str | None:
        """The formulation it was trained with; None for a RagModel, which has none."""
        named = self.settings.get("architectures") or ()
        return next((name for name, cls in CLASSES.items() if cls in named), None)

    @property
    def template(self) -> str:
        """The input template it was trained with: transformers' own, unless a model of ours names another."""
        return str((self.settings.get(OURS) or {}).get("template", "hf_rag"))

    @property
    def max_length(self) -> int:
        """Maximum number of input tokens in its training."""
        return int(self.settings.get("max_combined_length") or 300)

    @property
    def has_no_questions(self) -> bool:
        """Whether it states why it has no question encoder: an export of ours whose encoder is no DPR."""
        return bool((self.settings.get(OURS) or {}).get("question_encoder"))

    def tokenizer_folder(self, part: Part) -> Path:
        """The folder of the tokenizer of a part.

        Raises:
            AssetError: no such folder.
        """
        folder = self.folder / f"{part}_tokenizer"
        if not folder.is_dir():
            raise AssetError(f"RAG checkpoint {self.folder}: the folder {folder.name} is missing")
        return folder

    def load(self, part: Part, model_class: Any, **changes: Any) -> Any:
        """One part as a model in float32.

        Args:
            part: The generator or the question encoder.
            model_class: transformers' class of that part.
            changes: Fields of its configuration to set.

        Raises:
            AssetError: weights missing, unreadable, of another shape, or only as pickle.
            ConfigError: the part is of another kind of model.
        """
        config = self.config_of(part, model_class.config_class, **changes)
        with opening(WHAT, self.folder):
            tensors = self._tensors(part)
        if not tensors:
            raise AssetError(f"{WHAT} {self.folder}: its weights lack {part}{self._why(part)}")
        with opening(f"{part} of the {WHAT}", self.folder):
            check_size(model_class, config, sum(tensor.numel() for tensor in tensors.values()), self.folder)
            model, report = model_class.from_pretrained(
                None, config=config, state_dict=tensors, dtype="float32", output_loading_info=True
            )
            check_missing(report, self.folder)
        return model

    def config_of(self, part: Part, config_class: Any, **changes: Any) -> Any:
        """The configuration of a part as transformers has it, with changed fields.

        Raises:
            AssetError: it cannot be one.
            ConfigError: missing, or of another kind of model.
        """
        settings = {**self.settings_of(part), **changes}
        with opening(f"{part} of the {WHAT}", self.folder / "config.json"):
            return config_class(**settings)

    def settings_of(self, part: Part) -> dict[str, Any]:
        """The configuration of a part.

        Raises:
            ConfigError: missing, or of another kind of model.
        """
        found = self.settings.get(part)
        kind = found.get("model_type") if isinstance(found, dict) else None
        if not isinstance(found, dict) or kind != KINDS[part]:
            raise ConfigError(f"RAG checkpoint {self.folder}: its {part} is {kind!r}, only {KINDS[part]!r} is read")
        return found

    def _tensors(self, part: Part) -> dict[str, Any]:
        """Tensors of a part by the names they have in its own model."""
        found: dict[str, Any] = {}
        for file in weight_files(self.folder, WHAT):
            with safetensors(file) as handle:
                for key in handle.keys():  # noqa: SIM118 - no mapping
                    name = key.removeprefix("rag.")
                    if name.startswith(f"{part}."):
                        found[name.removeprefix(f"{part}.")] = handle.get_tensor(key)
        return found

    def _why(self, part: Part) -> str:
        reason = (self.settings.get(OURS) or {}).get(part)
        return f" ({reason})" if reason else ""


def open_rag(folder: Path) -> RagCheckpoint:
    """Read and check the configuration of a checkpoint.

    Raises:
        DataError: no config.json, not a JSON object, or one that names code or has fields of a wrong type.
        ConfigError: not a RAG model, or an input text that the template hf_rag does not write.
    """
    settings = read_object(folder / "config.json")
    check_settings(folder / "config.json", settings)
    for name, (of, said) in TYPES.items():
        if not isinstance(settings.get(name), of | None) or isinstance(settings.get(name), bool):
            raise DataError(folder / "config.json", f"must be {said}", field=name, value=settings[name])
    if settings.get("model_type") != "rag":
        raise ConfigError(f"{folder}: is a {settings.get('model_type')!r} checkpoint, not a RAG checkpoint")
    for name, wanted in INPUT_TEXT.items():
        found = settings.get(name, wanted)
        if (found or None) != wanted:
            raise ConfigError(f"RAG checkpoint {folder}: {name} is {found!r}; only {wanted!r} is supported")
    return RagCheckpoint(folder, settings)


def check_use(checkpoint: RagCheckpoint, formulation: str, template: str) -> None:
    """Check that a checkpoint is used with the formulation and template it was trained with.

    Raises:
        ConfigError: another formulation or input template.
    """
    hint = "generator.mismatch=allow opens it all the same"
    trained = checkpoint.formulation
    if trained and trained != formulation:
        raise ConfigError(
            f"RAG checkpoint {checkpoint.folder}: was trained as {trained}, the formulation is {formulation}; {hint}"
        )
    if checkpoint.template != template:
        raise ConfigError(
            f"RAG checkpoint {checkpoint.folder}: reads the input template {checkpoint.template}, "
            f"generator.template is {template}; {hint}"
        )
