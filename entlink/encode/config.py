"""Every size and every choice of the dual encoder, as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from entlink.errors import ConfigError
from entlink.inputs import VIEWS

SHARING = ("deer", "sde", "ade", "ade-ste", "ade-fte", "ade-spl")
ENCODERS = ("bag", "bert")
READS = "bag+bert"  # a mention tower of bags, to which a BERT adds what it reads in the context
POOLING = ("cls", "mean")
SCORINGS = ("cosine", "dot")
SAVED_BITS = (4, 8)
INPUTS = ("left", "right", "sentence", "label", "description", "types", "popularity", "degree")


@dataclass(frozen=True, slots=True)
class BertReading:
    """What a tower that is a BERT reads, and what it makes of it; token budgets without marks."""

    base: Path | None = None  # a Hugging Face folder to begin with; a saved encoder needs none
    pooling: str = "cls"  # the first token's vector, or "mean": that of all tokens
    mention_tokens: int = 60  # of span and contexts
    head_tokens: int = 0  # of a context, for how it begins
    span_tokens: int = 16
    entity_tokens: int = 60  # of name and description
    name_tokens: int = 16
    project: bool = True  # a linear layer to the vector; without, that has BERT's own size
    enrichment: float = 0.0  # lambda of Ram et al. (2022); 0: none

    def __post_init__(self) -> None:
        _one_of("pooling", self.pooling, POOLING)
        for part, whole in (("span", "mention"), ("name", "entity")):
            n_part, n_whole = getattr(self, f"{part}_tokens"), getattr(self, f"{whole}_tokens")
            if not 0 < n_part <= n_whole:
                raise ConfigError(
                    f"{part}_tokens is {n_part}; it must be at least 1 and at most "
                    f"{whole}_tokens, {n_whole}"
                )
        for name in ("enrichment", "head_tokens"):
            if (value := getattr(self, name)) < 0:
                raise ConfigError(f"{name} is {value}; it must be 0 or more")


@dataclass(frozen=True, slots=True)
class DualEncoderConfig:
    """Sizes of the towers, what they are made of, and what they have in common.

    ``sharing`` is one of Dong et al. (2022), or "deer" (Gillick et al. 2019):

        deer     token embeddings, and how a name is read (a BERT: all of it); own last layers
        sde      all that both towers have
        ade      nothing
        ade-ste  token embeddings
        ade-fte  token embeddings, frozen
        ade-spl  the layers that project to the vector
    """

    table_rows: int = 1 << 17  # a power of two
    embedding: int = 96
    text: int = 200  # output of a text encoder
    hidden: int = 300
    vector: int = 128
    sparse_rows: int = 4096
    sparse: int = 50
    char_lengths: tuple[int, ...] = (3, 4)
    dropout: float = 0.1
    sharing: str = "deer"
    mention_encoder: str = "bag"  # or "bert", "bag+bert"
    entity_encoder: str = "bag"
    scoring: str = "cosine"  # or "dot", for bags: vectors keep their length
    bert: BertReading = field(default_factory=BertReading)
    views: tuple[str, ...] = ("name", "aliases")  # vectors of an entity; the best one counts
    without: tuple[str, ...] = ()  # inputs that are hidden from the towers
    saved_bits: int = 8  # of each number of a bag's token embeddings and a context reader; or 4

    def __post_init__(self) -> None:
        if self.table_rows < 1 or self.table_rows & (self.table_rows - 1):
            raise ConfigError(f"table_rows is {self.table_rows}; it must be a power of two")
        if any(length < 3 for length in self.char_lengths):
            raise ConfigError(f"char_lengths are {self.char_lengths}; each must be at least 3")
        _one_of("sharing", self.sharing, SHARING)
        _one_of("mention_encoder", self.mention_encoder, (*ENCODERS, READS))
        _one_of("entity_encoder", self.entity_encoder, ENCODERS)
        _one_of("scoring", self.scoring, SCORINGS)
        if self.scoring == "dot" and self.has_bert:
            raise ConfigError("scoring is 'dot', but the vectors of a BERT are of unit length")
        if self.saved_bits not in SAVED_BITS:
            raise ConfigError(f"saved_bits is {self.saved_bits}; it must be 4 or 8")
        for name in self.without:
            _one_of("without", name, INPUTS)
        for name in self.views:
            _one_of("views", name, VIEWS)
        if not self.views:
            raise ConfigError(f"views is empty; name at least one of {', '.join(VIEWS)}")
        if self.reads and self.entity_encoder != "bag":
            raise ConfigError(
                f"mention_encoder is {READS!r}, but entity_encoder is {self.entity_encoder!r}; "
                "write entity_encoder = 'bag'"
            )
        if self.mention_kind != self.entity_encoder and self.sharing != "ade":
            raise ConfigError(
                f"sharing is {self.sharing!r}, but towers of different kinds share nothing; "
                "write sharing = 'ade'"
            )

    @property
    def has_bert(self) -> bool:
        """Is one of the towers a BERT, or has one?"""
        return self.reads or "bert" in (self.mention_encoder, self.entity_encoder)

    @property
    def reads(self) -> bool:
        """Does a BERT add what it reads in a mention's context?"""
        return self.mention_encoder == READS

    @property
    def mention_kind(self) -> str:
        """What the mention tower itself is made of."""
        return "bag" if self.reads else self.mention_encoder


def _one_of(setting: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{setting} is {value!r}; it must be one of {', '.join(known)}")
