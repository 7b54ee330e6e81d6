"""The component `entlink_mentions`: finds what `entlink` links.

Strategies propose spans; of those that overlap the longest wins (in tokens), of equals that of the
strategy named first, then the leftmost. The winners become `doc.ents`. All that were proposed,
nested and overlapping ones too, go into a span group if `spans_key` names one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from entlink.component.keeping import BundlePipe
from entlink.component.recognising import RecogniserTraining, read_recogniser, write_recogniser
from entlink.component.results import UNLABELLED, beside
from entlink.component.scoring import score_mentions
from entlink.component.strategies import Finder, Tools, strategy, token_span
from entlink.component.training import Scorer
from entlink.detect.detector import Detector, resolve
from entlink.detect.given import NOT_NAMES
from entlink.detect.recogniser import Recogniser
from entlink.errors import ConfigError

if TYPE_CHECKING:
    from spacy.language import Language

STRATEGIES: Final = ("recogniser", "gazetteer")


class MentionsComponent(BundlePipe):
    """Finds mentions.

    strategies: names, the first goes first where two propose the same; see strategies.py.
    bundle: whose knowledge base and recogniser are used; None is the built-in one.
    spans_in: the span group that the strategy "span_group" reads.
    spans_key: the span group for all proposals, overlapping ones too; None: none is written.
    set_ents: make the winners `doc.ents`? Entities that were there go, except those of
        ``labels_discard`` that overlap no winner ("ents" among the strategies proposes them again).
    carry_bundle: save a copy of the bundle with the pipeline, rather than its name.
    """

    SETTINGS = (
        "strategies",
        "bundle",
        "spans_in",
        "spans_key",
        "set_ents",
        "labels_discard",
        "carry_bundle",
    )

    def __init__(
        self,
        *,
        name: str = "entlink_mentions",
        strategies: Collection[str] = STRATEGIES,
        bundle: str | None = None,
        spans_in: str = "sc",
        spans_key: str | None = None,
        set_ents: bool = True,
        labels_discard: Collection[str] = tuple(sorted(NOT_NAMES)),
        carry_bundle: bool = False,
        scorer: Scorer | None = score_mentions,
        language: str = "en",
        loading: bool = False,
    ) -> None:
        super().__init__(name=name, bundle=bundle)
        self.strategies = list(strategies)
        self.spans_in = spans_in
        self.spans_key = spans_key
        self.set_ents = set_ents
        self.labels_discard = list(labels_discard)
        self.carry_bundle = carry_bundle
        self.scorer = scorer
        self.language = language
        self._loaded: Detector | None = None
        self._recogniser: Recogniser | None = None  # our own, in place of the bundle's
        self._tuning: RecogniserTraining | None = None
        self._finders: list[Finder] = []
        self._check()
        self._begin(loading=loading)

    def _check(self) -> None:
        where = f"component {self.name!r}"
        if not self.strategies:
            raise ConfigError(f"{where}: strategies is empty; name at least one")
        if not self.set_ents and self.spans_key is None:
            raise ConfigError(
                f"{where}: set_ents is false and spans_key names no group, so nothing would be "
                "written; set one of them"
            )
        for name in self.strategies:
            strategy(name, where=where)
        self._finders = []

    def _tools(self) -> Tools:
        return Tools(
            where=f"component {self.name!r}",
            detector=lambda: self.detector,
            spans_in=self.spans_in,
            labels_discard=frozenset(self.labels_discard),
        )

    @property
    def detector(self) -> Detector:
        """The bundle's gazetteer and recogniser, or our own in place of the latter."""
        if self._loaded is None:
            from entlink.kb.store import KnowledgeBase

            kb = KnowledgeBase.open(self.opened.path)
            folder = self.opened.path / "detector" if self.opened.has("detector") else None
            self._loaded = Detector.load(kb, folder)
            if self._recogniser is not None:
                self._loaded.recogniser = self._recogniser
        return self._loaded

    # -- docs ----------------------------------------------------------------------------------

    def _process(self, docs: Sequence[Doc], **options: Any) -> None:
        if options:
            raise ConfigError(
                f"component {self.name!r}: {next(iter(options))!r} cannot be given for one call"
            )
        if not self._finders:
            tools = self._tools()
            self._finders = [strategy(n, where=tools.where)(tools) for n in self.strategies]
        proposed = [finder(docs) for finder in self._finders]
        for doc, *lists in zip(docs, *proposed, strict=True):
            self._annotate(doc, lists)

    def _annotate(self, doc: Doc, proposed: Sequence[Sequence[Span]]) -> None:
        lists = [[s for s in spans if not s.text.isspace()] for spans in proposed]
        if self.spans_key is not None:
            labels: dict[tuple[int, int], str] = {}
            for start, end, label in (token_span(s) for some in lists for s in some):
                labels[start, end] = labels.get((start, end), "") or label
            spans = [_labelled(doc, *place, labels[place]) for place in sorted(labels)]
            doc.spans[self.spans_key] = SpanGroup(doc, name=self.spans_key, spans=spans)
        if self.set_ents:
            winners = resolve(*([token_span(s) for s in spans] for spans in lists))
            ents = [_labelled(doc, *winner) for winner in winners]
            kept = [ent for ent in doc.ents if ent.label_ in self.labels_discard]
            doc.set_ents(beside(ents, kept))

    # -- training ------------------------------------------------------------------------------

    @property
    def is_trainable(self) -> bool:
        """Is there a recogniser among the strategies?"""
        return any(name in ("recogniser", "entlink.recogniser.v1") for name in self.strategies)

    @property
    def model(self) -> Any:
        """The recogniser's, None if it has not been needed yet."""
        return None if self._tuning is None else self._tuning.model

    def initialize(
        self, get_examples: Callable[[], Iterable[Example]], nlp: Language | None = None
    ) -> None:
        """Start from the bundle's recogniser, or from a fresh one if it has none."""
        self._recogniser = self._loaded = self._tuning = None
        if self.is_trainable:
            self._start(get_examples)

    def _start(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        self._tuning = RecogniserTraining.start(self.detector, get_examples, self.language)
        if self._tuning is not None:
            self.detector.recogniser = self._tuning.recogniser

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Any = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Gradients of the recogniser on the gold entities; a step if ``sgd`` is given."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        if not self.is_trainable:
            return losses
        examples = list(examples)
        if self._tuning is None:
            self._start(lambda: examples)
        if self._tuning is None:
            return losses
        losses[self.name] += self._tuning.accumulate(examples, drop=drop)
        if sgd not in (None, False):
            self.finish_update(sgd)
        return losses

    def finish_update(self, sgd: Any) -> None:
        """Take the step with spaCy's optimizer."""
        if self._tuning is not None:
            self._tuning.step(sgd)

    @contextlib.contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """For the time being, the recogniser with other weights, such as the optimizer's averages.

        params: by (model id, name), as in `Optimizer.averages`.
        """
        if self._tuning is None:
            yield
        else:
            with self._tuning.model.use_params(params):
                yield

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """By the configured scorer: `mentions_p`, `mentions_r`, `mentions_f`."""
        return {} if self.scorer is None else self.scorer(examples, **kwargs)

    # -- saving --------------------------------------------------------------------------------

    def _has_news(self) -> bool:
        return False  # what was learned is kept beside the bundle, not in it

    def _write_more(self, folder: Path) -> None:
        recogniser = self._recogniser if self._tuning is None else self._tuning.recogniser
        write_recogniser(folder, recogniser)

    def _read_more(self, folder: Path) -> None:
        self._recogniser = read_recogniser(folder)
        self._finders = []

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__() | {"_finders": [], "_recogniser": None}
        if "_packed" not in state and (self._tuning is not None or self._recogniser is not None):
            state["_packed"] = self.to_bytes()
        return state


def _labelled(doc: Doc, start: int, end: int, label: str) -> Span:
    return Span(doc, start, end, label=label or UNLABELLED)
