"""Fine-tunes a linker's retriever and reranker on gold links, a batch at a time.

The losses are those of the long training (entlink/train): a softmax over the entities of the batch
and wrong candidates for the retriever, one over a mention's candidates and NIL for the reranker.
Wrong candidates come from the retriever as it served last. What is served, and so evaluated, is
what would be saved: weights are rounded as they are on disk.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from entlink.bundle import write_manifest
from entlink.component.fine_tuning import FineTuning, GoldLink
from entlink.encode.dual import DualEncoder
from entlink.inputs import (
    MentionInput,
    entity_inputs,
    mention_input,
    pair_context,
    pair_entity,
    surfaces,
)
from entlink.kb.aliases import normalise
from entlink.linker import Linker
from entlink.records import Entity
from entlink.rerank.cross_encoder import CrossEncoder, pad_pairs
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.train.losses import in_batch_softmax, list_or_nil

_AT_A_TIME = 16  # mentions whose candidates are read together; bounds memory
_CLIP = 1.0  # of the gradient's norm
_EXACT = 0.7  # how often the gold entity goes by the name that stands in the text


@dataclass(frozen=True, slots=True)
class _Case:
    link: GoldLink
    gold: int  # row of the KB, -1 for NIL
    wrong: tuple[int, ...]  # rows, best first

    def draw(self, n: int, generator: random.Random) -> list[int]:
        """The hardest wrong ones, and some of the others."""
        n_hard = min(len(self.wrong), n // 2)
        others = self.wrong[n_hard:]
        return [*self.wrong[:n_hard], *generator.sample(others, min(len(others), n - n_hard))]


class Tuner:
    """Copies of a linker's models that learn, and now and then take their place in it."""

    def __init__(self, linker: Linker, settings: FineTuning, *, device: str) -> None:
        self.settings = settings
        auto = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = auto if device == "auto" else device  # of the reranker
        self.n_steps = 0
        self._linker = linker
        self._bundle = linker.bundle
        self._served = (0, linker)  # after how many steps which linker got its models
        self._waiting = False  # are there gradients that no step has used?
        self._random = random.Random(settings.seed)
        folder = self._bundle.path
        self._retriever = self._reranker = None
        if settings.retriever_rate > 0:
            self._retriever = DualEncoder.load(folder / "retriever")
        if settings.reranker_rate > 0 and linker.reranker is not None:
            self._reranker = CrossEncoder.load(folder / "reranker")
            self._reranker.model.to(self._device)
        self._optimizer = torch.optim.AdamW(self._groups(), lr=0.0, weight_decay=0.0)

    def _models(self) -> Iterator[tuple[nn.Module, float]]:
        if self._retriever is not None:
            yield self._retriever, self.settings.retriever_rate
        if self._reranker is not None:
            yield self._reranker.model, self.settings.reranker_rate

    def _groups(self) -> list[dict[str, object]]:
        groups: list[dict[str, object]] = [
            {"params": list(model.parameters()), "rate": rate} for model, rate in self._models()
        ]
        return groups or [{"params": [nn.Parameter(torch.zeros(1))], "rate": 0.0}]

    # -- learning ------------------------------------------------------------------------------

    def accumulate(self, links: Sequence[GoldLink], *, drop: float) -> float:
        """Add the gradients of these gold links; returns the loss, the mean over them."""
        for model, _ in self._models():
            model.train()
            for module in model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = drop
        torch.manual_seed(self._random.getrandbits(31))
        cases = self._cases(links)
        total = 0.0
        known = [case for case in cases if case.gold >= 0]
        if self._retriever is not None and known:
            loss = self._retriever_loss(self._retriever, known)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if self._reranker is not None:
            for begin in range(0, len(cases), _AT_A_TIME):
                some = cases[begin : begin + _AT_A_TIME]
                loss = self._reranker_loss(self._reranker, some) * (len(some) / len(cases))
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
        self._waiting = True
        return total

    def step(self) -> None:
        """Use the gradients gathered since the last step; nothing without any."""
        if not self._waiting:
            return
        self.n_steps += 1
        share = min(1.0, self.n_steps / max(1, self.settings.warmup))
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * share
        for model, _ in self._models():
            nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._waiting = False

    def _cases(self, links: Sequence[GoldLink]) -> list[_Case]:
        rows = self._linker.kb.rows_of(sorted({link.gold for link in links}))
        hidden = [self._random.random() < self.settings.hide_label for _ in links]
        shown = [
            replace(link, mention=replace(link.mention, label="")) if hide else link
            for link, hide in zip(links, hidden, strict=True)
        ]
        inputs = [_input(link) for link in shown]
        found = self._linker.retriever.retrieve(inputs, k=self.settings.pool)
        cases = []
        for link, candidates in zip(shown, found, strict=True):
            gold = rows.get(link.gold, -1)
            wrong = tuple(int(row) for row in candidates.rows if row != gold)
            cases.append(_Case(link, gold, wrong))
        return [case for case in cases if case.gold >= 0 or case.wrong]

    def _entities(self, rows: set[int]) -> dict[int, Entity]:
        ordered = sorted(rows)
        return dict(zip(ordered, self._linker.kb.by_rows(ordered), strict=True))

    def _retriever_loss(self, model: DualEncoder, cases: Sequence[_Case]) -> Tensor:
        drawn = {row for c in cases for row in c.draw(self.settings.n_wrong, self._random)}
        entities = self._entities(drawn | {case.gold for case in cases})
        golds = [case.gold for case in cases]
        columns = [entity_inputs(entities[c.gold])[self._surface(c, entities)] for c in cases]
        columns += [entity_inputs(entities[row])[0] for row in sorted(drawn)]
        mentions = model.mention_vectors(model.mention_features([_input(c.link) for c in cases]))
        vectors = model.entity_vectors(model.entity_features(columns))
        scores = mentions @ vectors.T * model.log_scale.exp()  # (n mentions, n columns)
        entity = torch.tensor([*golds, *sorted(drawn)])
        return in_batch_softmax(scores, torch.tensor(golds), entity)

    def _surface(self, case: _Case, entities: dict[int, Entity]) -> int:
        """Which of the gold entity's names: mostly the one in the text, if that is one of them."""
        names = [normalise(name) for name in surfaces(entities[case.gold])]
        span = normalise(case.link.mention.text)
        return names.index(span) if span in names and self._random.random() < _EXACT else 0

    def _reranker_loss(self, encoder: CrossEncoder, cases: Sequence[_Case]) -> Tensor:
        drawn = [
            [
                *([case.gold] if case.gold >= 0 else []),
                *case.draw(self.settings.n_wrong, self._random),
            ]
            for case in cases
        ]
        entities = self._entities({row for rows in drawn for row in rows})
        second = dict(
            zip(
                entities,
                encoder.pairs.entities([pair_entity(e) for e in entities.values()]),
                strict=True,
            )
        )
        contexts = [
            pair_context(c.link.text, m.start, m.end, full_name=m.full_name)
            for c in cases
            for m in (c.link.mention,)
        ]
        first = encoder.pairs.mentions(contexts)
        ids, segments, is_token = pad_pairs(
            [half for half, rows in zip(first, drawn, strict=True) for _ in rows],
            [second[row] for rows in drawn for row in rows],
        )
        device = next(encoder.model.parameters()).device
        logits = encoder.model(ids.to(device), segments.to(device), is_token.to(device))
        lengths = torch.tensor([len(rows) for rows in drawn], device=device)
        width = int(lengths.max())
        is_candidate = torch.arange(width, device=device)[None, :] < lengths[:, None]
        scores = logits.new_zeros(is_candidate.shape).masked_scatter(is_candidate, logits)
        gold = torch.tensor([0 if case.gold >= 0 else width for case in cases], device=device)
        return list_or_nil(scores, is_candidate, gold)

    # -- serving and saving --------------------------------------------------------------------

    def serve(self, linker: Linker) -> None:
        """Give the linker the models as they would be saved now; its KB is encoded anew."""
        if self.n_steps == 0 or (self._served[0] == self.n_steps and self._served[1] is linker):
            return
        with tempfile.TemporaryDirectory() as folder:
            self._save(Path(folder))
            if self._retriever is not None:
                encoder = DualEncoder.load(Path(folder) / "retriever")
                vectors = SurfaceVectors.build(linker.kb, encoder)
                linker.retriever = Retriever(linker.kb, encoder, vectors)
            if self._reranker is not None and linker.reranker is not None:
                served = CrossEncoder.load(Path(folder) / "reranker")
                served.model.to(self._device)
                linker.reranker = served
        self._served = (self.n_steps, linker)

    def _save(self, folder: Path) -> None:
        if self._retriever is not None:
            self._retriever.save(folder / "retriever")
        if self._reranker is not None:
            self._reranker.save(folder / "reranker")

    def write_bundle(self, folder: Path) -> None:
        """The linker's bundle with the models as they are now, into an empty folder."""
        for name in self._bundle.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._bundle.path / name, folder / name)
        card = folder / "MODEL_CARD.md"
        text = card.read_text(encoding="utf-8") if card.exists() else ""
        note = (
            f"Fine-tuned in {self.n_steps} steps with spaCy from bundle {self._bundle.digest}; "
            "figures below are those of that bundle.\n\n"
        )
        card.write_text(note + text, encoding="utf-8")
        self._save(folder)
        write_manifest(folder)


def _input(link: GoldLink) -> MentionInput:
    m = link.mention
    return mention_input(link.text, m.start, m.end, label=m.label, full_name=m.full_name)
