"""The settings of a stage that its digest is computed from: all fields that name it, of the effective configuration.

Of `device` only the class counts, and the CPU, which all results were first made on, not at all.

Two cases are excluded: fields whose metadata exclude them (`fields.py`), and fields without effect. A field that the
formulation, the retriever or the strategy does not use is set to a neutral value here, so that configurations with the
same result have the same digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import Dtype, InferenceDtype, KindSection, Leaf, leaves
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.languages import LANGUAGES
from rag_lightning.config.retrieval import RetrieverConfig, retriever_kind, training_kind, trains_encoder
from rag_lightning.config.training import ReaderConfig, TrainConfig
from rag_lightning.core.devices import device_class
from rag_lightning.core.hardware import resolve_dtype

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
_RECENT: dict[int, tuple[ExperimentConfig, ExperimentConfig]] = {}
MOST_RECENT = 64
"""Size of the cache of effective configurations, by identity: all stages of an experiment use the same one."""
WEIGHT = TrainConfig.distractor_weight
"""Weight of the distractor loss where it has no effect."""
READ_BY_SOME = ("encoder.", "index.", "bm25.", "seed")
"""Prefixes of the fields that only some kinds of retriever read; the attribute `reads` of a kind lists them."""


def settings(config: ExperimentConfig, stage: str) -> dict[str, Any]:
    """Dotted path -> plain value of every field that determines the result of a stage, beside its inputs."""
    effective = effective_config(config)
    kind = {"rankings": config.retriever.kind, "model": training_kind(effective.retriever)}.get(stage)
    found: dict[str, Any] = {}
    on = device_class(config.device)
    for leaf in leaves(ExperimentConfig):
        if stage not in leaf.stages or leaf.digest in ("never", "by content"):
            continue
        if kind is not None and _unread(leaf.path, stage, kind):
            continue
        value = value_of(effective, leaf)
        if leaf.digest == "unless default" and value == leaf.default:
            continue
        if leaf.path == "device":
            value = None if on == "cpu" else on
        if value is not None:
            found[leaf.path] = resolve_dtype(value, on) if leaf.hint in (Dtype, InferenceDtype) else plain(value)
    return found


def effective_config(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration with a neutral value for every field that has no effect."""
    recent = _RECENT.get(id(config))
    if recent is None or recent[0] is not config:
        recent = config, _effective(config)
        if len(_RECENT) >= MOST_RECENT:
            _RECENT.pop(next(iter(_RECENT)))
        _RECENT[id(config)] = recent
    return recent[1]


def _effective(config: ExperimentConfig) -> ExperimentConfig:
    task, warmup = config.task, config.reader
    task = _changed(task, seed=config.seed if task.seed is None else task.seed)
    warmup = _changed(warmup, seed=None, task="")  # already applied to the workspace that trains the reader
    if not warmup.distractors:
        warmup = _changed(warmup, distractor_retriever=ReaderConfig.distractor_retriever)
    generator = _generator(config.generator)
    bm25 = _changed(config.bm25, stemmer=stemmer_of(config))
    changed = _changed(config, task=task, bm25=bm25, reader=warmup, generator=generator, retriever=_retriever(config))
    return _changed(changed, train=effective_training(config), decoding=_decoding(config))


def effective_training(config: ExperimentConfig) -> TrainConfig:
    """Section train with a learning rate of 0 for what the retriever does not have or does not train.

    fid trains no retriever and has no distractor loss. retrieve_ahead is false if no query encoder is used or trained:
    it has no effect there. Closed book reads no passages, so that it has no answerable questions either.
    """
    if config.formulation in ("closed_book", "fid"):
        untrained = _changed(config.train, retriever_lr=0.0, scale_lr=0.0, retrieve_ahead=False)
        plain = _changed(untrained, distractor_loss="none", distractor_weight=WEIGHT)
        return _changed(plain, k=TrainConfig.k, answerable_only=False) if config.formulation == "closed_book" else plain
    retriever, train = config.retriever, config.train
    if train.distractor_loss == "none":
        train = _changed(train, distractor_weight=WEIGHT)
    encodes = trains_encoder(retriever)
    factor = retriever_kind(training_kind(retriever)).scale in ("encoder", "bm25")
    scaled = retriever.train and (factor or retriever.null_document != "none")
    return _changed(
        train,
        retriever_lr=train.retriever_lr if retriever.train and encodes else 0.0,
        scale_lr=train.scale_lr if scaled else 0.0,
        retrieve_ahead=train.retrieve_ahead and encodes,
    )


def value_of(config: Any, leaf: Leaf) -> Any:
    """The value of a leaf; None for a field of a kind that is not chosen."""
    section, _, name = leaf.path.rpartition(".")
    holder = getattr(config, section) if section else config
    if isinstance(holder, KindSection) and holder.is_option(name):
        return getattr(holder.made(), name, None)
    return getattr(holder, name)


def plain(value: Any) -> Any:
    """A value as JSON represents it."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple | list) else value


def _unread(path: str, stage: str, kind: str) -> bool:
    if stage == "model" and path == "seed":
        return False
    return path.startswith(READ_BY_SOME) and not path.startswith(tuple(retriever_kind(kind).reads))


def stemmer_of(config: ExperimentConfig) -> str:
    """Name of BM25's stemmer, empty for none: the given one, or that of corpus.language."""
    given = config.bm25.stemmer
    return LANGUAGES[config.corpus.language].stemmer if given == "auto" else given


def _retriever(config: ExperimentConfig) -> RetrieverConfig:
    retriever = config.retriever
    if config.formulation == "closed_book":
        return RetrieverConfig(kind="none")
    train = effective_training(config)
    learns = train.retriever_lr > 0 or train.scale_lr > 0
    return _changed(retriever, trained_with=training_kind(retriever), train=learns)


def _generator(generator: GeneratorConfig) -> GeneratorConfig:
    if generator.head == "none":
        generator = _changed(generator, verbalisers=())
    if generator.init != "warm_start":
        generator = _changed(generator, encoder="", decoder_layers=GeneratorConfig.decoder_layers)
    if generator.train != "lora":
        generator = _changed(generator, lora_rank=GeneratorConfig.lora_rank, lora_alpha=GeneratorConfig.lora_alpha)
    return generator


def _decoding(config: ExperimentConfig) -> DecodingConfig:
    closed = config.formulation == "closed_book"
    return _changed(config.decoding, k=DecodingConfig.k) if closed else config.decoding


def _changed(section: T, **values: Any) -> T:
    """dataclasses.replace, which checks every field again, only where a value differs."""
    differing = {name: value for name, value in values.items() if not _same(getattr(section, name), value)}
    return replace(section, **differing) if differing else section


def _same(before: Any, after: Any) -> bool:
    """Whether two values are one in JSON too, unlike 0 and 0.0; sections, whose values may be such, if they are one."""
    return before is after or (type(before) is type(after) and not is_dataclass(before) and bool(before == after))
