"""What a question is made from, before it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Fact:
    """One (entity, relation, answer) that stands in the corpus.

    Args:
        family: definition, profile, lead_fact or two_hop.
        relation: Name used for caps and tags; a definition's is `definition/<topic>`.
        entity: What the question is about; splits never share one.
        slots: Values of the question templates ("x" is the entity as people type it).
        answers: Accepted strings; the first is the surface that stands in a passage.
        gold: Passage ids, the one the fact was read from first.
    """

    family: str
    relation: str
    entity: str
    slots: Mapping[str, str]
    answers: tuple[str, ...]
    gold: tuple[str, ...] = field(default=())

    @property
    def template_key(self) -> str:
        """The name of its questions in `templates.py`."""
        return self.slots.get("template", self.relation)
