"""What an explanation holds: every score of every candidate, what each part of the input did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from entlink.errors import ConfigError
from entlink.records import NIL, Mention

if TYPE_CHECKING:
    import pandas as pd

# The decision's features (decide.CANDIDATE_FEATURES) in the words of a person.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "vector": ("cosine", "cosine_gap", "best_cosine"),
    "name": (
        "is_alias",
        "only_alias",
        "is_country",
        "words_found",
        "part_of_name",
        "begins_name",
        "no_alias",
    ),
    "uses": ("prior", "log_prior"),
    "popularity": ("popularity", "popularity_known", "popularity_gap", "degree"),
    "nil": ("bias",),
    "document": ("document",),
    "reading": ("logit", "logit_gap", "best_logit", "was_read"),
}
GROUP_OF = {feature: group for group, features in GROUPS.items() for feature in features}


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """A candidate and all that is known of it; NIL is one too, with what it has.

    ``contributions`` add up to ``log_odds``, the logarithm of its probability over that of the one
    it is compared with: the answer is compared with its rival, all others with the answer.
    """

    entity_id: str
    name: str
    description: str
    stage: str  # "answer"; or where it was lost: "reading", "before reading"
    rank: int  # from 1, by probability; 0 for NIL
    retriever_rank: int  # from 1, by cosine; 0 for NIL
    probability: float
    first_probability: float  # before any pair was read
    cosine: float | None
    prior: float | None  # share of this surface's uses that mean it; 0 if unknown
    popularity: float | None  # log10 scale; None is unknown
    reranker_score: float | None  # logit; None if the pair was not read
    features: Mapping[str, float]  # the decision's features before reading
    log_odds: float
    contributions: Mapping[str, float]
    retrieved: bool = True  # False: it was asked for, and stands beside those that were found
    enriched_rank: int | None = None  # by cosine, if vectors were lexically enriched

    @property
    def groups(self) -> dict[str, float]:
        """Contributions summed by kind.

        vector, name, uses, popularity, nil, reading, and document: what other mentions say.
        """
        sums: dict[str, float] = {}
        for feature, value in self.contributions.items():
            group = GROUP_OF.get(feature, feature)
            sums[group] = sums.get(group, 0.0) + value
        return sums

    @property
    def decided_by(self) -> str:
        """What most won it (the answer) or lost it (the others): a key of ``groups``, "" if none.

        Ties go to the first.
        """
        sign = 1.0 if self.stage == "answer" else -1.0
        groups = {name: sign * value for name, value in self.groups.items()}
        best = max(groups, key=lambda name: groups[name], default="")
        return best if best and groups[best] > 0 else ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What changes where one part of the input is taken out; all changes are after - before."""

    side: str  # "mention", or the id of the entity whose text it is of
    kind: str  # "input" (of the encoder), "sentence" or "word"
    part: str  # the input's name, or the words themselves
    start: int | None  # character offset in the text, inclusive; None where it is not of the text
    end: int | None
    cosine: float | None  # of the answer, or of the rival where the answer is NIL
    rival_cosine: float | None
    logit: float | None  # None where the pair is not read
    rival_logit: float | None
    log_odds: float  # of the answer against its rival; negative: the part spoke for the answer


@dataclass(frozen=True, slots=True)
class TokenWeight:
    """A token of the pair that the cross-encoder reads: gradient x input of the logit.

    That of the answer's pair, less that of the rival's where both were read.
    """

    token: str
    side: str  # left, span, right, name, description, or mark
    start: int | None  # character offset in the text (left, span, right), inclusive
    end: int | None
    weight: float  # positive: it speaks for the answer


@dataclass(frozen=True, slots=True)
class VectorReading:
    """A vector read as words: those that it stands for, and the input's words that it ignores."""

    of: str  # "mention", or an entity's id
    words: tuple[tuple[str, float], ...]  # (word, probability), by falling probability
    expansion: tuple[str, ...]  # of these, the words that the input does not have
    ranks: Mapping[str, int]  # of the input's words that the vocabulary has, from 1
    amnesia: tuple[str, ...]  # of the input's words, those that rank low, the rarest first
    n_words: int  # of the vocabulary


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a mention was linked as it was."""

    text: str
    mention: Mention
    entity_id: str  # the answer, an entity or NIL
    name: str
    probability: float
    rival: str  # what the answer is compared with: an entity or NIL; "" if there is no candidate
    candidates: tuple[ExplainedCandidate, ...]  # by falling probability; NIL last
    effects: tuple[Effect, ...]
    tokens: tuple[TokenWeight, ...] = ()
    readings: tuple[VectorReading, ...] = ()
    n_candidates: int = 0  # of which ``candidates`` are the best
    n_read: int = 0
    notes: tuple[str, ...] = field(default=())  # what was left out, and why

    def candidate(self, entity_id: str) -> ExplainedCandidate:
        """The candidate of that id, or NIL. Raises ConfigError if it is not in ``candidates``."""
        for candidate in self.candidates:
            if candidate.entity_id == entity_id:
                return candidate
        raise ConfigError(f"{entity_id} is not among the candidates; name it with 'against'")

    def decisive(self, kind: str = "sentence") -> Effect | None:
        """The part of the text whose removal changes the answer's log-odds most, the first of such.

        ``kind`` is "sentence" or "word"; None where the mention stands alone.
        """
        found = [e for e in self.effects if e.kind == kind and e.side == "mention"]
        return max(found, key=lambda e: abs(e.log_odds), default=None)

    def to_frame(self) -> pd.DataFrame:
        """The candidates, one row each; columns "by_..." are their contributions summed by kind."""
        import pandas as pd

        rows = []
        for c in self.candidates:
            row = {k: v for k, v in asdict(c).items() if k not in ("features", "contributions")}
            groups = {f"by_{name}": value for name, value in c.groups.items()}
            rows.append(row | {"decided_by": c.decided_by} | groups)
        return pd.DataFrame(rows)

    def effects_frame(self) -> pd.DataFrame:
        """What each part did, one row each, the greatest change first."""
        import pandas as pd

        ordered = sorted(self.effects, key=lambda e: -abs(e.log_odds))
        return pd.DataFrame([asdict(e) for e in ordered], columns=list(Effect.__slots__))

    def tokens_frame(self) -> pd.DataFrame:
        """The tokens of the pair in order, with their weights."""
        import pandas as pd

        return pd.DataFrame([asdict(t) for t in self.tokens], columns=list(TokenWeight.__slots__))

    def words_frame(self) -> pd.DataFrame:
        """The words that the vectors stand for: of, rank, word, probability, in_input."""
        import pandas as pd

        rows = [
            (r.of, rank, word, probability, word not in r.expansion)
            for r in self.readings
            for rank, (word, probability) in enumerate(r.words, start=1)
        ]
        return pd.DataFrame(rows, columns=["of", "rank", "word", "probability", "in_input"])

    def to_dict(self) -> dict[str, Any]:
        """For JSON; keys are those of a link's candidates where both have them."""
        m = self.mention
        decisive = {kind: self.decisive(kind) for kind in ("sentence", "word")}
        return {
            "text": self.text,
            "mention": {"start": m.start, "end": m.end, "text": m.text}
            | ({"label": m.label} if m.label else {})
            | ({"full_name": m.full_name} if m.full_name else {}),
            "entity": self.entity_id,
            "name": self.name,
            "probability": self.probability,
            "rival": self.rival,
            "n_candidates": self.n_candidates,
            "n_read": self.n_read,
            "candidates": [_candidate(c) for c in self.candidates],
            "decisive": {kind: None if e is None else asdict(e) for kind, e in decisive.items()},
            "effects": [asdict(e) for e in self.effects],
            "tokens": [asdict(t) for t in self.tokens],
            "readings": [asdict(r) for r in self.readings],
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """For people, line by line."""
        from entlink.explain.page import lines

        return lines(self)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _candidate(c: ExplainedCandidate) -> dict[str, Any]:
    values = asdict(c)
    values["entity"] = values.pop("entity_id")
    values["retriever_score"] = values.pop("cosine")
    return values | {"groups": c.groups, "decided_by": c.decided_by, "is_nil": c.entity_id == NIL}
