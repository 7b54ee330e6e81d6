"""The factories `entlink` and `entlink_mentions`, as `nlp.add_pipe` and config files know them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spacy.language import Language

from entlink.component.fine_tuning import FineTuning
from entlink.component.linking import SPANS_KEY, EntlinkComponent
from entlink.component.mentions import STRATEGIES, MentionsComponent
from entlink.detect.given import NOT_NAMES
from entlink.records import NIL

_DISCARDED = sorted(NOT_NAMES)


@Language.factory(
    "entlink",
    assigns=[
        "doc.ents",
        "token.ent_iob",
        "token.ent_type",
        "token.ent_kb_id",
        "span._.entlink",
        "span._.kb_ents",
    ],
    default_config={
        "bundle": None,
        "mentions": "auto",
        "spans_key": SPANS_KEY,
        "threshold": None,
        "types": [],
        "labels_discard": _DISCARDED,
        "n_candidates": 10,
        "nil": NIL,
        "max_pairs": None,
        "carry_bundle": False,
        "fine_tuning": {"@misc": "entlink.FineTuning.v1"},
        "device": "cpu",
        "backend": "auto",
        "threads": None,
        "scorer": {"@scorers": "entlink.link_scorer.v1"},
    },
    default_score_weights={"nel_micro_f": 1.0, "nel_micro_r": None, "nel_micro_p": None},
)
def make_entlink(
    nlp: Language,
    name: str,
    bundle: str | None,
    mentions: str,
    spans_key: str,
    threshold: float | None,
    types: list[str],
    labels_discard: list[str],
    n_candidates: int,
    nil: str,
    max_pairs: int | None,
    carry_bundle: bool,
    fine_tuning: FineTuning,
    device: str,
    backend: str,
    threads: int | None,
    scorer: Callable[..., dict[str, Any]] | None,
) -> EntlinkComponent:
    """The factory; see EntlinkComponent for the settings."""
    return EntlinkComponent(
        name=name,
        bundle=bundle,
        mentions=mentions,
        spans_key=spans_key,
        threshold=threshold,
        types=types,
        labels_discard=labels_discard,
        n_candidates=n_candidates,
        nil=nil,
        max_pairs=max_pairs,
        carry_bundle=carry_bundle,
        fine_tuning=fine_tuning,
        device=device,
        backend=backend,
        threads=threads,
        scorer=scorer,
        loading=_is_loading(nlp, name),
    )


@Language.factory(
    "entlink_mentions",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={
        "strategies": list(STRATEGIES),
        "bundle": None,
        "spans_in": "sc",
        "spans_key": None,
        "set_ents": True,
        "labels_discard": _DISCARDED,
        "carry_bundle": False,
        "scorer": {"@scorers": "entlink.mention_scorer.v1"},
    },
    default_score_weights={"mentions_f": 1.0, "mentions_r": None, "mentions_p": None},
)
def make_entlink_mentions(
    nlp: Language,
    name: str,
    strategies: list[str],
    bundle: str | None,
    spans_in: str,
    spans_key: str | None,
    set_ents: bool,
    labels_discard: list[str],
    carry_bundle: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> MentionsComponent:
    """The factory; see MentionsComponent for the settings."""
    return MentionsComponent(
        name=name,
        strategies=strategies,
        bundle=bundle,
        spans_in=spans_in,
        spans_key=spans_key,
        set_ents=set_ents,
        labels_discard=labels_discard,
        carry_bundle=carry_bundle,
        scorer=scorer,
        language=nlp.lang or "xx",
        loading=_is_loading(nlp, name),
    )


def _is_loading(nlp: Language, name: str) -> bool:
    """Is this pipeline being read from disk, so that the component's own files come next?

    spacy.load gives the pipeline its meta.json, which names components, before it makes them.
    """
    return name in nlp._meta.get("components", ())
