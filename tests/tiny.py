"""A whole bundle in miniature, made in a second: a real KB, real models with random weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from entlink.bert import BertConfig
from entlink.bundle import Bundle, write_manifest
from entlink.coherence import N_HIDDEN, Coherence
from entlink.decide import N_DOCUMENT, N_EARLY, NIL_FEATURES, Decision
from entlink.encode.dual import DualEncoder, DualEncoderConfig
from entlink.kb.build import build_kb
from entlink.records import Entity
from entlink.rerank.bert import BertClassifier
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig, PairTokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"[unused{i}]" for i in range(12)))

ENTITIES = (
    Entity("Q1", "Jordan", ("Kingdom of Jordan",), "country in Asia", types=("T1",), degree=9),
    Entity("Q2", "Michael Jordan", ("Jordan", "MJ"), "basketball player", popularity=4.1),
    Entity("Q3", "Jordan", (), "river that ends in the Dead Sea", types=("T2",)),
    Entity("Q4", "Paris", ("City of Light",), "capital of France", popularity=4.5),
    Entity("Q5", "Paris Hilton", ("Paris",), "American media personality", popularity=3.9),
    Entity("Q6", "Paris", (), "city in Texas", popularity=2.2),
    Entity("Q7", "France", ("French Republic",), "country in Europe", popularity=4.6),
    Entity("Q8", "Georgia", (), "country in the Caucasus", popularity=4.0),
    Entity("Q9", "Georgia", ("Peach State",), "state of the United States", popularity=4.0),
    Entity("Q10", "Apple", ("Apple Inc.",), "maker of phones and computers", popularity=4.4),
    Entity("Q11", "apple", (), "fruit of a tree"),
    Entity("Q12", "Amazon", ("Amazon.com",), "online shop", popularity=4.3),
    Entity("Q13", "Amazon", ("Amazon River",), "river in South America", popularity=4.0),
    Entity("Q14", "Chicago Bulls", ("Bulls",), "basketball team", popularity=3.8),
    Entity("Q15", "Chicago", (), "city on Lake Michigan", popularity=4.2),
    Entity("Q16", "Prince", (), "musician from Minneapolis", popularity=4.0),
    Entity("Q17", "München", ("Munich", "Muenchen"), "city in Bavaria", popularity=4.0),
    Entity("Q18", "القدس", ("Jerusalem",), "city holy to three religions"),
    Entity("Q19", "C++", (), "programming language", types=("T9",)),
    Entity("Q20", "Twin", (), "the same as the next"),
    Entity("Q21", "Twin", (), "the same as the next"),
)

DECISION = Decision(
    first=(6.0, 2.0, 3.0, 0.5, 1.0, 0.1, 0.5, 0.1, 1.0, 0.2, 1.0, 0.5, 0.5, 0.2),
    first_nil=(0.5, -1.0, 2.0),
    final=(6.0, 2.0, 3.0, 0.5, 1.0, 0.1, 0.5, 0.1, 1.0, 0.2, 1.0, 0.5, 0.5, 0.2, 8.0, 1.0),
    final_nil=(0.5, -1.0, 2.0, -1.0),
    nil_threshold=0.3,
    max_pairs=6,
    read_mass=0.98,
)


def seeing_documents(
    decision: Decision, *, early: bool = True, late: bool = True, seed: int = 4, scale: float = 1.0
) -> Decision:
    """The same with document passes, before reading and after it, of random weights."""
    generator = np.random.default_rng(seed)

    def drawn(f: int, n_nil: int) -> Coherence:
        h = N_HIDDEN
        sizes = {"linear": f, "hidden": f * h, "bias": h, "out": h, "nil": n_nil}
        weights = {n: generator.normal(scale=scale, size=size) for n, size in sizes.items()}
        return Coherence(**{name: tuple(w.tolist()) for name, w in weights.items()})

    n_nil = len(NIL_FEATURES)
    return replace(
        decision,
        early=drawn(N_EARLY, n_nil - 1) if early else None,
        coherence=drawn(N_DOCUMENT, n_nil) if late else None,
    )


def encoder(*, seed: int = 0, vector: int = 16) -> DualEncoder:
    """A small dual encoder with random weights."""
    torch.manual_seed(seed)
    sizes = DualEncoderConfig(
        table_rows=1 << 12, embedding=12, text=16, hidden=24, vector=vector, sparse=6
    )
    return DualEncoder(sizes).eval()


def tokenizer(texts: Iterable[str] = ()) -> Tokenizer:
    """WordPiece over BERT's marks, all letters of ASCII, and the words of ``texts``."""
    letters = [chr(c) for c in range(33, 127)]
    words = sorted({word for text in texts for word in text.lower().split() if word.isalnum()})
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def bert(vocabulary: int, *, seed: int = 0, positions: int = 128) -> BertClassifier:
    """A small BERT with random weights, larger than usual so that its logits differ."""
    torch.manual_seed(seed)
    model = BertClassifier(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=positions,
        )
    )
    for name, parameter in model.named_parameters():
        if "LayerNorm" not in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def write_bert(
    folder: Path, texts: Iterable[str] = (), *, seed: int = 0, positions: int = 128
) -> Path:
    """A Hugging Face folder of such a BERT, with a tokenizer that knows the words of ``texts``."""
    words = tokenizer(texts)
    bert(words.get_vocab_size(), seed=seed, positions=positions).save(folder)
    words.save(str(folder / "tokenizer.json"))
    return folder


def cross_encoder(*, seed: int = 0, config: PairConfig | None = None) -> CrossEncoder:
    """A small cross-encoder with random weights."""
    words = tokenizer(entity.description or "" for entity in ENTITIES)
    model = bert(words.get_vocab_size(), seed=seed)
    return CrossEncoder(model, PairTokenizer(words, config or PairConfig(24, 20, 8, 8)))


def make_bundle(
    folder: Path, *, entities: Sequence[Entity] = ENTITIES, reranker: bool = True
) -> Bundle:
    """Write a bundle without a recogniser: names are found by the gazetteer alone."""
    build_kb(entities, folder)
    encoder().save(folder / "retriever")
    if reranker:
        cross_encoder().save(folder / "reranker")
    DECISION.save(folder / "decision.json")
    (folder / "MODEL_CARD.md").write_text("A bundle for tests.\n", encoding="utf-8")
    return write_manifest(folder)
