"""Models small enough to be made in a test; torch is imported only by the tests that ask for one."""

from __future__ import annotations

import gc
import os
import shutil
import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from rag_lightning.core import devices
from tests.once import new_reader, yaml_is_parsed_once
from tests.one_process import ONE_PROCESS

__all__ = ["new_reader", "yaml_is_parsed_once"]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# How fast inputs are made says how busy the machine is, not whether the code is right.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

DRIVERS = devices.DRIVERS
"""Without them `device: auto` is the CPU."""

if TYPE_CHECKING:
    from rag_lightning.config.commands import SweepConfig
    from rag_lightning.generator.causal import CausalGenerator
    from rag_lightning.generator.seq2seq import Seq2SeqGenerator

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list(string.ascii_lowercase + string.digits)
WORDS = ["the", "of", "in", "is", "what", "capital", "city", "river", "paris", "rome", "porto", "novo"]
BERT_VOCAB = [*SPECIAL, *LETTERS, *[f"##{c}" for c in LETTERS], *"-,.:;()'/?!\"$%&", *WORDS]
TOY_VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c"]
TOY_LENGTH = 3
"""Target tokens of the toy model: few enough to look at every sequence."""


def pytest_configure() -> None:
    """Nothing that is imported or collected is garbage: no search for some goes through it, here and in the tests."""
    gc.disable()


def pytest_collection_finish() -> None:
    """The tests begin; see `pytest_configure`."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` run where a CUDA device is, and all others on the CPU there too."""
    is_for_gpu = item.get_closest_marker("gpu") is not None
    if is_for_gpu:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device here")
    devices.DRIVERS = DRIVERS if is_for_gpu else ()


@pytest.fixture(autouse=True)
def no_shared_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep with a storage says for its whole process that machines share the folder; the next test is new."""
    monkeypatch.delenv("RAG_LIGHTNING_MACHINE", raising=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests over processes one by one, but those of ONE_PROCESS together, first."""
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")
            return ONE_PROCESS.get(file, nodeid)

    return Grouped(config, log)


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Small models are fastest, and add in one order, on one thread."""
    import torch

    torch.set_num_threads(1)


def _save_tokenizer(folder: Path, vocabulary: Sequence[str]) -> None:
    from transformers import BertTokenizerFast

    ids = {word: i for i, word in enumerate(vocabulary)}
    mask = "[MASK]" if "[MASK]" in ids else "[UNK]"
    BertTokenizerFast(vocab=ids, do_lower_case=True, mask_token=mask).save_pretrained(folder)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """An uncased BERT of 4 layers, 32 wide, with random weights and BERT's own LayerNorm epsilon."""
    return make_bert(tmp_path_factory.mktemp("bert"))


def make_bert(folder: Path) -> Path:
    """Write the model and tokenizer of `bert_folder`."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(BERT_VOCAB),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    model = BertModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # biases and LayerNorms start at 0 and 1: a copy that forgets them would not show
                parameter.add_(0.2 * torch.randn_like(parameter))
            assert parameter.isfinite().all(), name
    model.save_pretrained(folder)
    _save_tokenizer(folder, BERT_VOCAB)
    return folder


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> Path:
    """A random cross-encoder with the tokenizer of `bert_folder`."""
    from transformers import BertConfig, BertForSequenceClassification, set_seed

    set_seed(2)
    folder = tmp_path_factory.mktemp("reranker")
    BertForSequenceClassification(BertConfig.from_pretrained(bert_folder, num_labels=1)).save_pretrained(folder)
    _save_tokenizer(folder, BERT_VOCAB)
    return folder


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A BART over 7 tokens, 16 wide, whose next token depends on passage and prefix."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(1)
    config = BartConfig(
        vocab_size=len(TOY_VOCAB),
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        init_std=0.35,  # so mild that float32 log-probs do not depend on the order of sums beyond 1e-5
        dropout=0.0,
        attention_dropout=0.0,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    model = BartForConditionalGeneration(config)
    model.final_logits_bias.copy_(torch.linspace(-0.5, 0.5, len(TOY_VOCAB)))
    model.save_pretrained(folder)
    _save_tokenizer(folder, TOY_VOCAB)
    return folder


@pytest.fixture(scope="session")
def toy(toy_folder: Path) -> Seq2SeqGenerator:
    """The toy model as a generator in eval mode; tests must not train it."""
    from rag_lightning.config.generator import GeneratorConfig
    from rag_lightning.generator.seq2seq import Seq2SeqGenerator

    config = GeneratorConfig(max_source_length=32, max_target_length=TOY_LENGTH, dropout=0.0)
    return Seq2SeqGenerator.load(toy_folder, config).eval()


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a user's own: corpus.jsonl, train.jsonl, dev.jsonl, test.jsonl."""
    from tests.tiny_project import write_data

    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sweep(tiny_data: Path, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepConfig:
    """A sweep over the tiny project that has run, with its report; tests may add artifacts to its folder, no more."""
    from rag_lightning.report.command import run as report
    from rag_lightning.sweep.run import run
    from tests.tiny_project import sweep

    config = sweep(tmp_path_factory.mktemp("project"), tiny_data, bert_folder)
    run(config)
    report(config)
    (Path(config.experiment.folder) / "finished").touch()  # what is newer was added by tests
    return config


@pytest.fixture
def tiny_copy(tiny_sweep: SweepConfig, tmp_path: Path) -> SweepConfig:
    """The same sweep before its first trial: all is built and trained, nothing is predicted."""
    from tests.tiny_project import moved

    made = Path(tiny_sweep.experiment.folder) / "artifacts"
    left_out = shutil.ignore_patterns("predictions", "scores", "pairs", "rankings", "*.lock")
    shutil.copytree(made, tmp_path / "copy" / "artifacts", ignore=left_out)
    return moved(tiny_sweep, tmp_path / "copy")


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A Llama over 7 tokens, 16 wide, 4 heads sharing 2 key/value heads, its embeddings tied."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOY_VOCAB),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.35,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _save_tokenizer(folder, TOY_VOCAB)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy_llama(llama_folder: Path) -> CausalGenerator:
    """The toy Llama as a generator in eval mode; tests must not train it."""
    from transformers import AutoTokenizer

    from rag_lightning.config.generator import GeneratorConfig
    from rag_lightning.generator.causal import CausalGenerator, load_llama

    config = GeneratorConfig(template="prompt", max_source_length=40, max_target_length=TOY_LENGTH)
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    return CausalGenerator(load_llama(llama_folder), tokenizer, config).eval()
