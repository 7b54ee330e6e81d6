"""Where the gold entity stands among the candidates that one system finds in one KB."""

from __future__ import annotations

import json
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError
from entlink.inputs import MentionInput, mention_input
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.hybrid import Hybrid, RetrievalConfig
from entlink.retrieve.sparse import Bm25, best
from entlink.train.data import Example, label_examples, read_examples
from entlink.train.loop import device_of
from entlink.train.retriever_config import is_hidden
from tests.studies.retrieval_kbs import changed_kb

SYSTEMS = ("retriever", "names", "bm25")
ASKED = ("mention", "text")
ONLY = ("all", "hidden", "seen")
K = 100
_AT_A_TIME = 512  # mentions
Rows = NDArray[np.int64]
Find = Callable[[Sequence[MentionInput]], list[Rows]]  # for each at most K rows, best first


@dataclass(frozen=True, slots=True)
class Measuring:
    """What is measured, on any KB."""

    folder: Path | None  # of the encoder
    encoder: tuple[str, ...]  # changes of its config
    system: str
    retrieval: RetrievalConfig
    sets: tuple[Path, ...]
    detector: Path | None
    asked: str
    aliases: int
    hidden: int
    only: str
    bare: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Of the mentions whose entity is in the KB, how many have it among the first k."""

    n: int
    hits: list[int]  # for k = 1, 2, ... K

    def recall(self, k: int) -> float:
        """Recall@k; NaN without mentions."""
        return self.hits[k - 1] / self.n if self.n else float("nan")


def pooled(many: Sequence[Measured]) -> Measured:
    """All mentions alike, whatever their set."""
    hits = [sum(column) for column in zip(*(one.hits for one in many), strict=True)]
    return Measured(sum(one.n for one in many), hits)


def measure(
    m: Measuring, path: Path, *, work: Path, told: Callable[[str], None]
) -> dict[str, Measured]:
    """Each set by itself."""
    bare = m.hidden if m.bare else 0
    kb = KnowledgeBase.open(path)
    if m.aliases >= 0 or bare:
        kb = KnowledgeBase.open(changed_kb(kb, work, aliases=m.aliases, bare=bare))
    find = _finder(m, kb)
    found = {}
    for file in m.sets:
        examples = _examples(m, file)
        rows = kb.rows_of(sorted({e.gold for e in examples}))
        examples = [e for e in examples if e.gold in rows]
        hits = np.zeros(K, dtype=np.int64)
        for begin in range(0, len(examples), _AT_A_TIME):
            some = examples[begin : begin + _AT_A_TIME]
            for e, candidates in zip(some, find([_input(m, e) for e in some]), strict=True):
                places = np.flatnonzero(candidates == rows[e.gold])
                if len(places):
                    hits[places[0] :] += 1
            told(f"{path.name}, {file.name}: {begin + len(some):,} of {len(examples):,} mentions")
        found[file.name.split(".")[0]] = Measured(len(examples), hits.tolist())
    return found


def _examples(m: Measuring, file: Path) -> list[Example]:
    """With labels and full names as in use; where a text is asked whole, each text once."""
    examples = read_examples([file])
    if m.asked == "text":
        examples = list({(e.doc, e.gold): e for e in examples}.values())
    else:
        examples = label_examples(examples, m.detector)
    if m.only != "all":
        examples = [e for e in examples if is_hidden(e.gold, m.hidden) == (m.only == "hidden")]
    return examples[: m.limit] if m.limit else examples


def _input(m: Measuring, e: Example) -> MentionInput:
    if m.asked == "text":
        return mention_input(e.text, 0, len(e.text))
    return mention_input(e.text, e.start, e.end, label=e.label, full_name=e.full_name)


def _finder(m: Measuring, kb: KnowledgeBase) -> Find:
    if m.system == "names":
        return lambda inputs: list(_by_name(kb, inputs))
    if m.system == "bm25":
        index = Bm25.of_kb(kb)
        return lambda inputs: [best(index.scores(i.span), k=K) for i in inputs]
    if m.folder is None:
        raise ConfigError("a retriever is to be measured, and none is named; name one")
    encoder = loaded(m.folder, m.encoder).to(device_of("auto"))
    surfaces = SurfaceVectors.build(kb, encoder)
    retriever = Retriever(kb, encoder, surfaces, hybrid=Hybrid.of(m.retrieval, kb))
    return lambda inputs: [found.rows for found in retriever.retrieve(inputs, k=K)]


def loaded(folder: Path, changes: Sequence[str]) -> DualEncoder:
    """The encoder with some settings changed that its weights do not depend on."""
    if not changes:
        return DualEncoder.load(folder)
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "encoder"
        shutil.copytree(folder, copy, copy_function=shutil.copyfile)
        config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
        for key, value in tomllib.loads("\n".join(changes)).items():
            config[key] = config.get(key, {}) | value if isinstance(value, dict) else value
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return DualEncoder.load(copy)


def _by_name(kb: KnowledgeBase, inputs: Sequence[MentionInput]) -> Iterator[Rows]:
    """Those that bear the very name, the likeliest first."""
    hits = kb.by_aliases([i.span for i in inputs])
    for i in inputs:
        yield np.asarray([hit.row for hit in hits[i.span]][:K], dtype=np.int64)
