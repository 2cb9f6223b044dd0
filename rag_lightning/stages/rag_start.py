"""Where generator.init is a RAG checkpoint of transformers, it is opened as what it was trained as."""

from __future__ import annotations

from rag_lightning.core.rag_checkpoint import check_use, is_rag, open_rag
from rag_lightning.stages.workspace import Workspace


def check_start(workspace: Workspace) -> None:
    """Check the checkpoint of generator.init against the configuration; nothing where it is no RAG checkpoint.

    Raises:
        ConfigError: another formulation or template, unless generator.mismatch is allow.
    """
    config = workspace.config.generator
    if config.init == "warm_start":
        return
    source = workspace.model_source(config.init)
    if not is_rag(source):
        return
    checkpoint = open_rag(source)
    if config.mismatch == "refuse":
        check_use(checkpoint, workspace.config.formulation, config.template)
    if config.max_source_length < checkpoint.max_length and config.template == "hf_rag":
        workspace.announce(
            f"generator.init reads up to {checkpoint.max_length} tokens, generator.max_source_length is "
            f"{config.max_source_length}: under hf_rag longer inputs lose the end of their question"
        )
