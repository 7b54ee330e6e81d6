"""Trains the BLINK recipe for a stated time: half on the bi-encoder, half on the cross-encoder."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional

from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.train.data import Example
from tests.peers.base import Flat, digest_of, folder, need
from tests.peers.blink import Tokens, Words, encode, entity_vectors, pair, pooled, torch_device

_BI_BATCH, _BI_RATE = 64, 1e-4
_CROSS_BATCH, _CROSS_RATE = 8, 6e-5
_TOP = 32  # candidates of which the cross-encoder's negatives are drawn
_NEGATIVES = 7  # of them, a mention
_MINED_A_MINUTE = 500  # training mentions whose candidates are retrieved; more are not read

Loss = Callable[[Sequence[Example]], torch.Tensor]


def train(
    examples: Sequence[Example], kb: KnowledgeBase, *, base: str, minutes: float, device: str
) -> dict[str, object]:
    """Train on mentions whose entity is in the KB; writes ``folder()/blink``.

    Encoding the KB between the two halves takes its own time.
    """
    torch.manual_seed(0)
    transformers: Any = need("transformers")
    words, on = Words(base), torch.device(torch_device(device))
    entities = _entities(kb, examples)
    order = list(examples)
    random.Random(0).shuffle(order)
    out = folder() / "blink"
    towers = [transformers.AutoModel.from_pretrained(base).to(on) for _ in range(2)]
    bi_loss = _bi_loss(towers, words, entities)
    bi = fit(towers, bi_loss, order, batch=_BI_BATCH, rate=_BI_RATE, minutes=minutes / 2)
    for name, tower in zip(("mention", "entity"), towers, strict=True):
        tower.eval().save_pretrained(out / name)
        words.tokenizer.save_pretrained(out / name)
    n_mined = max(200, int(_MINED_A_MINUTE * minutes))
    mined = _mined(order[:n_mined], kb, towers, words, digest_of(out / "entity"))
    cross = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=1, ignore_mismatched_sizes=True
    ).to(on)
    cross_loss = _cross_loss(cross, words, kb, mined)
    kept = [e for e in order if (e.doc, e.start, e.end) in mined]
    rates = {"batch": _CROSS_BATCH, "rate": _CROSS_RATE, "minutes": minutes / 2}
    told_cross = fit([cross], cross_loss, kept, **rates) if kept else {}
    cross.eval().save_pretrained(out / "cross")
    told: dict[str, object] = {
        "minutes": minutes,
        "n_mentions": len(order),
        "base": Path(base).name,
        "kb": kb.digest,
        "bi_encoder": bi,
        "cross_encoder": told_cross,
    }
    (out / "training.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


def fit(
    models: Sequence[Any],
    loss_of: Loss,
    examples: Sequence[Example],
    *,
    batch: float,
    rate: float,
    minutes: float,
) -> dict[str, float]:
    """AdamW; the rate falls to nothing as the time runs out. Returns steps and losses."""
    parameters = [p for model in models for p in model.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    for model in models:
        model.train()
    source = _rounds(examples, int(batch))
    losses: list[float] = []
    started = time.monotonic()
    while (spent := (time.monotonic() - started) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (len(losses) + 1) / 20) * (1 - spent)
        with torch.autocast(parameters[0].device.type, dtype=torch.bfloat16):
            loss = loss_of(next(source))
        optimizer.zero_grad()
        cast(Any, loss).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    first, last = float(np.mean(losses[:20])), float(np.mean(losses[-20:]))
    return {"steps": len(losses), "batch": batch, "first_loss": first, "last_loss": last}


def _rounds(examples: Sequence[Example], batch: int) -> Iterator[Sequence[Example]]:
    while True:
        for begin in range(0, len(examples), batch):
            yield examples[begin : begin + batch]


def _bi_loss(towers: Sequence[Any], words: Words, entities: dict[str, Entity]) -> Loss:
    """Each mention against all entities of the batch, every entity once."""

    def loss(batch: Sequence[Example]) -> torch.Tensor:
        on = next(towers[0].parameters()).device
        golds = list(dict.fromkeys(e.gold for e in batch))
        place = {gold: i for i, gold in enumerate(golds)}
        mentions = [words.mention(e.text, e.start, e.end) for e in batch]
        described = [words.entity(entities[gold]) for gold in golds]
        scores = pooled(towers[0], words.batch(mentions, on)) @ (
            pooled(towers[1], words.batch(described, on)).T
        )  # (n_mentions, n_entities)
        target = torch.tensor([place[e.gold] for e in batch], device=on)
        return functional.cross_entropy(scores.float(), target)

    return loss


Mined = dict[tuple[str, int, int], tuple[int, list[int]]]  # mention -> gold row, rows of the others


def _mined(
    examples: Sequence[Example], kb: KnowledgeBase, towers: Sequence[Any], words: Words, digest: str
) -> Mined:
    """The bi-encoder's own candidates of training mentions that have the gold one among them."""
    vectors = entity_vectors(kb, towers[1], words, digest)
    mentions = [words.mention(e.text, e.start, e.end) for e in examples]
    found = Flat(vectors).search(encode(towers[0], words, mentions), k=_TOP)
    golds = kb.rows_of(sorted({e.gold for e in examples}))
    mined: Mined = {}
    for e, rows in zip(examples, found.tolist(), strict=True):
        gold = golds[e.gold]
        if gold in rows and len(rows) > 1:
            mined[e.doc, e.start, e.end] = gold, [row for row in rows if row != gold]
    return mined


def _cross_loss(model: Any, words: Words, kb: KnowledgeBase, mined: Mined) -> Loss:
    """The gold candidate against some of the others of the same mention."""
    random_ = random.Random(0)

    def loss(batch: Sequence[Example]) -> torch.Tensor:
        on = next(model.parameters()).device
        pairs: list[Tokens] = []
        lists = []
        for e in batch:
            gold, others = mined[e.doc, e.start, e.end]
            rows = [gold, *random_.sample(others, min(_NEGATIVES, len(others)))]
            own = words.mention(e.text, e.start, e.end)
            pairs += [pair(own, words.entity(entity)) for entity in kb.by_rows(rows)]
            lists.append(len(rows))
        logits = model(**words.batch(pairs, on)).logits.squeeze(1).float()
        each = [-functional.log_softmax(some, dim=0)[0] for some in torch.split(logits, lists)]
        return torch.stack(each).mean()

    return loss


def _entities(kb: KnowledgeBase, examples: Sequence[Example]) -> dict[str, Entity]:
    rows = kb.rows_of(sorted({e.gold for e in examples}))
    return dict(zip(rows, kb.by_rows(list(rows.values())), strict=True))
