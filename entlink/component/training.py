"""How `entlink` learns inside `spacy train`, and keeps what it has learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy.training import Example

from entlink.component.fine_tuning import FineTuning, check_gold, gold_links
from entlink.component.keeping import BundlePipe
from entlink.kb.store import KnowledgeBase

if TYPE_CHECKING:
    from entlink.component.tuner import Tuner
    from entlink.linker import Linker

Scorer = Callable[..., dict[str, Any]]


class LinkTraining(BundlePipe):
    """The half of EntlinkComponent that spaCy's training knows."""

    nil: str
    spans_key: str
    device: str
    fine_tuning: FineTuning
    scorer: Scorer | None
    is_trainable = True
    _loaded: tuple[int, Linker] | None  # process id, linker
    _tuning: Tuner | None

    @property
    def linker(self) -> Linker:
        """The linker of this process."""
        raise NotImplementedError

    @property
    def model(self) -> Any:
        """Tells spaCy that there is something to train; the models are the linker's."""
        return self

    def initialize(self, get_examples: Callable[[], Iterable[Example]], nlp: Any = None) -> None:
        """Start from the bundle's models; InputError if no gold link is to an entity of its KB."""
        if self._tuning is not None:
            self._loaded = self._tuning = None
        check_gold(
            get_examples,
            KnowledgeBase.open(self.opened.path),
            nil=self.nil,
            spans_key=self.spans_key,
            where=f"component {self.name!r}",
        )

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Any = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Gradients of retriever and reranker on the gold links; a step if ``sgd`` is given."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        gold = [
            link
            for example in examples
            for link in gold_links(example, nil=self.nil, spans_key=self.spans_key)
        ]
        if not gold:
            return losses
        if self._tuning is None:
            from entlink.component.tuner import Tuner

            self._tuning = Tuner(self.linker, self.fine_tuning, device=self.device)
        losses[self.name] += self._tuning.accumulate(gold, drop=drop)
        if sgd not in (None, False):
            self.finish_update(sgd)
        return losses

    def finish_update(self, sgd: Any) -> None:
        """Take the step; the rates are those of `fine_tuning`, not of spaCy's optimizer."""
        if self._tuning is not None:
            self._tuning.step()

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """By the configured scorer: spaCy's figures for links, `nel_micro_f` and others."""
        return {} if self.scorer is None else self.scorer(examples, nil=self.nil, **kwargs)

    # -- saving --------------------------------------------------------------------------------

    def _has_news(self) -> bool:
        return self._tuning is not None and self._tuning.n_steps > 0

    def _carries(self) -> bool:
        return super()._carries() or self._has_news()

    def _write_bundle(self, folder: Path) -> None:
        if self._tuning is not None and self._has_news():
            self._tuning.write_bundle(folder)
        else:
            super()._write_bundle(folder)
