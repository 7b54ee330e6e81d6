"""The BLINK recipe (Wu et al. 2019): a bi-encoder, then a cross-encoder that reads all it found.

After the paper and the published code: [CLS] left [Ms] mention [Me] right [SEP] against
[CLS] title [ENT] description [SEP], inner product, in-batch negatives; the cross-encoder reads both
in one sequence. The vectors are means of the token vectors, with which the base model comes, and
not those of [CLS]: in minutes of training that is the better of the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from entlink.evaluate.benchmark.peer import MAX_CANDIDATES, Answer, Kind
from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity, Mention
from tests.peers.base import Base, Flat, by_first, digest_of, folder, kept_vectors, need
from tests.peers.spacy_linker import check_trained, trained_for

MENTION_TOKENS = 48
ENTITY_TOKENS = 48
_NAME_TOKENS = 16
_CONTEXT_CHARS = 300
_BEGIN, _END, _TITLE = "[unused0]", "[unused1]", "[unused2]"
_BATCH = 128
Tokens = list[int]
PARTS = ("mention", "entity", "cross", "training.json")


class Words:
    """Texts to token ids."""

    def __init__(self, model: str | Path) -> None:
        transformers: Any = need("transformers")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(model))
        ids = self.tokenizer.convert_tokens_to_ids
        self.begin, self.end, self.title = ids(_BEGIN), ids(_END), ids(_TITLE)
        self.cls, self.sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        self.pad = self.tokenizer.pad_token_id

    def _ids(self, text: str) -> Tokens:
        found: Tokens = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return found

    def mention(self, text: str, start: int, end: int) -> Tokens:
        """The mention with as much on each side as fits."""
        name = self._ids(text[start:end])[:_NAME_TOKENS]
        left = self._ids(text[max(0, start - _CONTEXT_CHARS) : start])
        right = self._ids(text[end : end + _CONTEXT_CHARS])
        free = MENTION_TOKENS - len(name) - 4
        n_left = min(len(left), max(free // 2, free - len(right)))
        n_right = min(len(right), free - n_left)
        left = left[len(left) - n_left :]
        return [self.cls, *left, self.begin, *name, self.end, *right[:n_right], self.sep]

    def entity(self, entity: Entity) -> Tokens:
        """Title and description."""
        name = self._ids(entity.name)[:_NAME_TOKENS]
        rest = self._ids(entity_description(entity))[: ENTITY_TOKENS - len(name) - 3]
        return [self.cls, *name, self.title, *rest, self.sep]

    def batch(self, many: Sequence[Tokens], device: torch.device) -> dict[str, torch.Tensor]:
        """Padded ids, mask, and segments: 1 after the first [SEP], for pairs."""
        length = max(len(tokens) for tokens in many)
        shape = len(many), length
        ids = np.full(shape, self.pad, dtype=np.int64)
        mask, segments = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for i, tokens in enumerate(many):
            ids[i, : len(tokens)] = tokens
            mask[i, : len(tokens)] = 1
            segments[i, tokens.index(self.sep) + 1 : len(tokens)] = 1
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
        return {name: torch.from_numpy(a).to(device) for name, a in arrays.items()}


def pair(mention: Tokens, entity: Tokens) -> Tokens:
    """One sequence for the cross-encoder."""
    return mention + entity[1:]


def pooled(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(n, d): the mean of the token vectors."""
    hidden = model(**batch).last_hidden_state.float()
    mask = batch["attention_mask"].unsqueeze(2).float()
    return torch.as_tensor((hidden * mask).sum(dim=1) / mask.sum(dim=1))


def by_length(many: Sequence[Tokens], size: int) -> Iterator[list[int]]:
    """Places in batches of like length, so that little is padding."""
    order = sorted(range(len(many)), key=lambda i: len(many[i]))
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


def encode(model: Any, words: Words, many: Sequence[Tokens]) -> NDArray[np.float32]:
    """(n, d) vectors."""
    device = next(model.parameters()).device
    vectors = np.zeros((len(many), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16):
        for places in by_length(many, _BATCH):
            found = pooled(model, words.batch([many[i] for i in places], device))
            vectors[places] = found.cpu().numpy()
    return vectors


def read(model: Any, words: Words, pairs: Sequence[Tokens]) -> NDArray[np.float32]:
    """(n,) logits of pairs."""
    device = next(model.parameters()).device
    logits = np.zeros(len(pairs), dtype=np.float32)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16):
        for places in by_length(pairs, _BATCH):
            found = model(**words.batch([pairs[i] for i in places], device)).logits
            logits[places] = found.squeeze(1).float().cpu().numpy()
    return logits


def load(path: Path, *, device: str, is_cross: bool = False) -> Any:
    """A model as trained, ready to be used."""
    transformers: Any = need("transformers")
    kind = transformers.AutoModelForSequenceClassification if is_cross else transformers.AutoModel
    return kind.from_pretrained(str(path)).to(torch_device(device)).eval()


def torch_device(name: str) -> str:
    """As entlink's --device."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def entity_vectors(kb: KnowledgeBase, model: Any, words: Words, digest: str) -> Any:
    """The vectors of all entities by row, made once."""

    def make(entities: Iterator[Entity]) -> NDArray[np.float32]:
        return encode(model, words, [words.entity(entity) for entity in entities])

    return kept_vectors(kb, f"blink {digest} {ENTITY_TOKENS}", make)


class BlinkBiEncoder(Base):
    """The first stage alone."""

    name = "BLINK bi-encoder"

    def __init__(self, *, device: str) -> None:
        self._device = device
        self._folder = folder() / "blink"
        self.about = f"the first stage of the BLINK recipe{trained_for(self._folder)}; exact FAISS"

    def settings(self) -> Mapping[str, object]:
        """Its weights."""
        weights = digest_of(self._folder)
        return {**super().settings(), "weights": weights, "device": self._device}

    def prepare(self, kb: KnowledgeBase) -> None:
        """Load the weights, and encode the KB if that was not done before."""
        check_trained(self._folder, PARTS, "blink")
        self._words = Words(self._folder / "mention")
        self._mention_tower = load(self._folder / "mention", device=self._device)
        tower = load(self._folder / "entity", device=self._device)
        digest = digest_of(self._folder / "entity")
        self._index = Flat(entity_vectors(kb, tower, self._words, digest))
        self._kb = kb

    def _tokens(self, mentions: Sequence[tuple[str, Mention]]) -> list[Tokens]:
        return [self._words.mention(text, m.start, m.end) for text, m in mentions]

    def _retrieve(self, tokens: Sequence[Tokens]) -> NDArray[np.int64]:
        queries = encode(self._mention_tower, self._words, tokens)
        return self._index.search(queries, k=MAX_CANDIDATES)

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """By falling inner product."""
        return by_first(self._kb, list(self._retrieve(self._tokens(mentions))))


class Blink(BlinkBiEncoder):
    """Both stages: every candidate is read."""

    name = "BLINK"
    kind = Kind.SAMPLED
    is_retriever = False

    def __init__(self, *, device: str) -> None:
        super().__init__(device=device)
        self.about = (
            f"the BLINK recipe{trained_for(self._folder)}: bi-encoder, then a cross-encoder that "
            f"reads all {MAX_CANDIDATES} candidates"
        )

    def prepare(self, kb: KnowledgeBase) -> None:
        """The cross-encoder too."""
        super().prepare(kb)
        self._cross = load(self._folder / "cross", device=self._device, is_cross=True)

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """The candidate with the highest logit; ties to the better retrieved."""
        tokens = self._tokens(mentions)
        answers = []
        for own, rows in zip(tokens, self._retrieve(tokens), strict=True):
            entities = self._kb.by_rows(rows.tolist())
            logits = read(
                self._cross, self._words, [pair(own, self._words.entity(e)) for e in entities]
            )
            answers.append(Answer(rows, entities[int(logits.argmax())].id, len(rows)))
        return answers
