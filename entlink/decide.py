"""From scores to probabilities and links: calibration, NIL, and which pairs are worth reading.

Two log-linear models over a mention's candidates and NIL. The first sees what the retriever and
the KB say; by it is chosen which candidates the cross-encoder reads. The second sees the
cross-encoder's logits too, and shares out among the candidates that were read the probability that
they had before. After each, a small network (``coherence``) weighs the likeliest candidates, or
those read, once more in view of the document's other mentions. So all probabilities of a mention,
NIL's included, always sum to one, whatever was read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entlink.coherence import FEATURES, N_HIDDEN, Coherence
from entlink.errors import BundleError, reason

Floats = NDArray[np.float64]

CANDIDATE_FEATURES = (
    "cosine",
    "cosine_gap",  # to the best candidate
    "is_alias",  # the KB knows the surface as a name of it
    "only_alias",  # and of it alone
    "prior",
    "log_prior",
    "popularity",
    "popularity_known",
    "popularity_gap",  # to the most popular candidate that bears the name
    "degree",
    "is_country",  # the surface is its adjective or names its people
    "words_found",
    "part_of_name",
    "begins_name",
    "logit",
    "logit_gap",  # to the best of the others read
)
NIL_FEATURES = ("bias", "best_cosine", "no_alias", "best_logit")
_N_FIRST = len(CANDIDATE_FEATURES) - 2  # those known before reading
_N_NIL_FIRST = len(NIL_FEATURES) - 1
N_DOCUMENT = len(CANDIDATE_FEATURES) + len(FEATURES)
_EARLY = [place for place, name in enumerate(FEATURES) if name != "same_name"]
N_EARLY = _N_FIRST + len(_EARLY)
MAX_EARLY = 16  # candidates of a mention that the document pass weighs before reading


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one mention's k candidates before any pair is read; all arrays are (k,)."""

    cosines: NDArray[np.float32]
    is_alias: NDArray[np.bool_]
    priors: NDArray[np.float32]
    popularity: NDArray[np.float32]  # NaN where unknown
    degree: NDArray[np.int32]
    is_country: NDArray[np.bool_]  # the surface is the adjective of this country
    words_found: NDArray[np.float32]  # share of the surface's words that one of its names has
    part_of_name: NDArray[np.float32]  # the surface's share of the words of a name that has all
    begins_name: NDArray[np.bool_]  # a name begins with the surface's words


@dataclass(frozen=True, slots=True)
class Decision:
    """The fitted weights and the settings of the decision."""

    first: tuple[float, ...]
    first_nil: tuple[float, ...]
    final: tuple[float, ...]
    final_nil: tuple[float, ...]
    nil_threshold: float = 0.5  # a link needs at least this probability
    max_pairs: int = 16  # read for a mention
    read_mass: float = 0.98  # read candidates until the first model's probabilities sum to this
    read_floor: float = 0.0  # and of them, but for the likeliest, none that is less likely
    early: Coherence | None = None  # the document pass before reading; None: there is none
    coherence: Coherence | None = None  # the one after it

    @property
    def sees_documents(self) -> bool:
        """A document's mentions are decided together."""
        return self.early is not None or self.coherence is not None

    @classmethod
    def blank(cls) -> Decision:
        """Before any fitting: all weights zero."""
        return cls(
            first=(0.0,) * _N_FIRST,
            first_nil=(0.0,) * _N_NIL_FIRST,
            final=(0.0,) * len(CANDIDATE_FEATURES),
            final_nil=(0.0,) * len(NIL_FEATURES),
        )

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Decision:
        """Read what ``save`` wrote. Raises BundleError if it does not fit this version."""
        try:
            raw = {"read_floor": 0.0, **json.loads(path.read_text(encoding="utf-8"))}
            values: dict[str, Any] = {}
            for name, blank in asdict(cls.blank()).items():
                if isinstance(blank, tuple):
                    values[name] = _weights(name, raw[name], len(blank))
                elif name not in ("early", "coherence"):
                    values[name] = type(blank)(raw[name])
            return cls(
                **values,
                early=_coherence(raw.get("early"), N_EARLY, _N_NIL_FIRST),
                coherence=_coherence(raw.get("coherence"), N_DOCUMENT, len(NIL_FEATURES)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{path}: not a decision file of this version ({reason(error)}); "
                "make the bundle again"
            ) from error


def _weights(name: str, values: Any, n: int) -> tuple[float, ...]:
    weights = tuple(float(weight) for weight in values)
    if len(weights) != n:
        raise ValueError(f"{name} has {len(weights)} weights")
    return weights


def _coherence(raw: Any, f: int, n_nil: int) -> Coherence | None:
    if raw is None:
        return None
    h = N_HIDDEN
    sizes = {"linear": f, "hidden": f * h, "bias": h, "out": h, "nil": n_nil}
    names = [field.name for field in fields(Coherence)]
    return Coherence(**{name: _weights(name, raw[name], sizes[name]) for name in names})


def first_features(evidence: Evidence) -> tuple[Floats, Floats]:
    """Features of the candidates (k, 14) and of NIL (3,) before reading."""
    e = evidence
    k = len(e.cosines)
    if not k:
        return np.zeros((0, _N_FIRST)), np.asarray([1.0, -1.0, 1.0])
    known = np.isfinite(e.popularity)
    popularity = np.where(known, e.popularity, 0.0) / 4.0
    named = popularity[e.is_alias]
    gap = np.where(e.is_alias, popularity - (named.max() if len(named) else 0.0), 0.0)
    columns = (
        e.cosines,
        e.cosines - e.cosines.max(),
        e.is_alias,
        e.is_alias & (e.is_alias.sum() == 1),
        e.priors,
        np.where(e.priors > 0, np.log(np.maximum(e.priors, 0.01)), np.log(0.01)),
        popularity,
        known,
        gap,
        np.log1p(e.degree) / 4.0,
        e.is_country,
        e.words_found,
        e.part_of_name,
        e.begins_name,
    )
    x = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    nil = np.asarray([1.0, float(e.cosines.max()), float(not e.is_alias.any())])
    return x, nil


def final_features(
    first: Floats, nil: Floats, logits: NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """The same with what the cross-encoder said, for the candidates it read: (n, 16) and (4,)."""
    values = np.asarray(logits, dtype=np.float64)
    gap = np.zeros_like(values)
    for i in range(len(values)):
        others = np.delete(values, i)
        gap[i] = values[i] - (others.max() if len(others) else 0.0)
    x = np.concatenate([first, values[:, None] / 4.0, gap[:, None] / 4.0], axis=1)
    best = values.max() / 4.0 if len(values) else 0.0
    return x, np.concatenate([nil, [best]])


def read_features(
    evidence: Evidence, read: NDArray[np.int64], logits: NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """All that the final model sees of the candidates ``read``, which have these logits."""
    x, nil = first_features(evidence)
    return final_features(x[read], nil, logits)


def first_probabilities(decision: Decision, evidence: Evidence) -> Floats:
    """Probabilities of the k candidates and, last, of NIL, before reading: (k + 1,)."""
    x, nil = first_features(evidence)
    return _softmax(_weighted(x, decision.first), nil @ np.asarray(decision.first_nil))


def early_places(first: Floats) -> NDArray[np.int64]:
    """The candidates that the document pass before reading weighs: the likeliest, best first."""
    return np.argsort(-first[:-1], kind="stable")[:MAX_EARLY]


def early_features(
    evidence: Evidence, places: NDArray[np.int64], around: Floats
) -> tuple[Floats, Floats]:
    """Features of the candidates at ``places`` (n, 18) and of NIL (3,) before reading.

    ``around`` (n, 5) is what ``coherence.surroundings`` found for them. Mentions of the same name
    do not count yet: what only reading tells apart, one well-known bearer would have for itself.
    """
    x, nil = first_features(evidence)
    return np.concatenate([x[places], around[:, _EARLY]], axis=1), nil


def early_probabilities(
    decision: Decision,
    evidence: Evidence,
    first: Floats,
    places: NDArray[np.int64],
    around: Floats,
) -> Floats:
    """Probabilities (k + 1,), NIL last, before reading, in view of the document's other mentions.

    What the candidates at ``places`` and NIL have in ``first`` is shared out among them anew.
    """
    if decision.early is None or not len(places):
        return first
    return _weighed(decision.early, *early_features(evidence, places, around), first, places)


def to_read(decision: Decision, probabilities: Floats) -> NDArray[np.int64]:
    """Which candidates the cross-encoder should read: the fewest that hold ``read_mass``.

    Of one certain candidate nothing is read; at most ``max_pairs`` are. What many unlikely ones
    hold together none of them has: but for the first, those below ``read_floor`` are left out.
    """
    candidates = probabilities[:-1]
    order = np.argsort(-candidates, kind="stable")[: decision.max_pairs]
    mass = np.cumsum(candidates[order])
    needed = decision.read_mass * candidates.sum()
    n = int(np.searchsorted(mass, needed) + 1)
    if n <= 1 and len(order) and candidates[order[0]] >= decision.read_mass:
        return order[:0]
    n_likely = int((candidates[order] >= decision.read_floor).sum())
    return order[: min(n, max(1, n_likely))]


def final_probabilities(
    decision: Decision,
    evidence: Evidence,
    first: Floats,
    read: NDArray[np.int64],
    logits: NDArray[np.float32],
) -> Floats:
    """Probabilities (k + 1,), NIL last, after the candidates ``read`` were given these logits.

    ``first`` are those before reading.
    """
    if not len(read):
        return first
    x, nil = read_features(evidence, read, logits)
    shares = _softmax(_weighted(x, decision.final), nil @ np.asarray(decision.final_nil))
    return _shared_out(first, read, shares)


def document_features(
    evidence: Evidence, read: NDArray[np.int64], logits: NDArray[np.float32], around: Floats
) -> tuple[Floats, Floats]:
    """Features of the candidates read (n, 21) and of NIL (4,) in the document pass.

    ``around`` (n, 5) is what ``coherence.surroundings`` found for them.
    """
    x, nil = read_features(evidence, read, logits)
    return np.concatenate([x, around], axis=1), nil


def document_probabilities(
    decision: Decision,
    evidence: Evidence,
    final: Floats,
    read: NDArray[np.int64],
    logits: NDArray[np.float32],
    around: Floats,
) -> Floats:
    """Probabilities (k + 1,), NIL last, in view of the document's other mentions.

    What the candidates that were read and NIL have in ``final`` is shared out among them anew.
    """
    if decision.coherence is None or not len(read):
        return final
    x, nil = document_features(evidence, read, logits, around)
    return _weighed(decision.coherence, x, nil, final, read)


def _weighed(
    model: Coherence, x: Floats, nil: Floats, before: Floats, places: NDArray[np.int64]
) -> Floats:
    shares = _softmax(model.scores(x), float(nil @ np.asarray(model.nil)))
    return _shared_out(before, places, shares)


def _shared_out(before: Floats, places: NDArray[np.int64], shares: Floats) -> Floats:
    """The same, but what some candidates and NIL, last, have goes to them by their shares."""
    among = np.append(places, len(before) - 1)
    result = before.copy()
    result[among] = shares * before[among].sum()
    return result


def _weighted(x: Floats, weights: tuple[float, ...]) -> Floats:
    """Row by row and not by BLAS: equal candidates get equal scores, wherever they stand."""
    return np.asarray((x * np.asarray(weights)).sum(axis=1))


def _softmax(candidates: Floats, nil: float) -> Floats:
    scores = np.append(candidates, nil)
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())
