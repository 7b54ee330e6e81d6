"""What links depend on beside options and input: the state of a linker, and edits of its KB."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entlink.corpus.shards import LinkOptions, LinksTexts, Setup
from entlink.errors import ConfigError

if TYPE_CHECKING:
    from entlink.bundle import Bundle

WHOLE = "all"
_BACKENDS = {"torch fp32": "torch", "torch bf16": "bf16", "openvino int8": "openvino"}


def options_of(linker: LinksTexts, options: LinkOptions) -> LinkOptions:
    """The options with what this linker has settled: its reranker and its backend, and `exact`."""
    known: Any = linker
    exact = bool(getattr(linker, "exact", options.exact))
    if not options.reranker or not hasattr(linker, "reranker"):  # or of another kind than ours
        return replace(options, exact=exact)
    if known.reranker is None:
        return replace(options, exact=exact, reranker=False)
    backend = str(known.reranker.backend)
    return replace(options, exact=exact, backend=_BACKENDS.get(backend, backend))


def options_for(bundle: Bundle, options: LinkOptions, *, device: str | None) -> LinkOptions:
    """The options with what this bundle settles: has it a reranker, and what does "auto" mean?

    The latter for linkers on this machine's ``device``; None where others link, which look for
    themselves.
    """
    from entlink.backends import reads_eight_bits
    from entlink.linker import choose_device

    if not bundle.has("reranker"):
        return replace(options, reranker=False)
    if not options.reranker or options.backend != "auto" or device is None:
        return options
    eight_bits = reads_eight_bits(bundle, device=choose_device(device, None))
    return replace(options, backend="openvino" if eight_bits else "torch")


def bundle_of(linker: LinksTexts | None, bundle: Bundle | str | Path | None) -> Bundle:
    """The bundle that other processes load: the linker's, if there is one. It is opened."""
    from entlink.bundle import Bundle, open_bundle

    if linker is None:
        return bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    own: Bundle | None = getattr(linker, "bundle", None)
    if own is None:
        raise ConfigError("this linker has no bundle that other processes could load; use one")
    return own


def setup_for(
    linker: LinksTexts | None,
    bundle: Bundle | str | Path | None,
    *,
    device: str,
    threads: int | None,
    options: LinkOptions,
    here: bool = False,
) -> Setup:
    """How other processes get a linker like this one, or of this bundle; ``here``: this machine's.

    Raises ConfigError where they cannot.
    """
    opened = bundle_of(linker, bundle)
    if linker is not None:
        options = options_of(linker, options)
        check_can_be_loaded(linker, options)
    else:
        options = options_for(opened, options, device=device if here else None)
    path = str(Path(opened.path).absolute())
    return Setup(path, opened.digest, device, threads, options, edits_of(linker, opened))


def part_of(linker: LinksTexts | None) -> str:
    """A digest of the part of the KB that the linker was limited to; WHOLE if it was not."""
    rows = getattr(getattr(linker, "retriever", None), "part", None)
    return WHOLE if rows is None else hashlib.sha256(rows.tobytes()).hexdigest()


def check_can_be_loaded(linker: LinksTexts, options: LinkOptions) -> None:
    """Raise ConfigError for a linker that other processes cannot make from its bundle."""
    if part_of(linker) != WHOLE:
        raise ConfigError(
            "this linker is limited to a part of the knowledge base, which other processes do not "
            "know; give types or ids instead of it, or link in one process"
        )
    if options.reranker and options.backend not in ("auto", *_BACKENDS.values()):
        raise ConfigError(
            f"this linker has a reranker of its own ({options.backend}), which other processes do "
            "not know; link in one process"
        )


def edits_of(linker: LinksTexts | None, bundle: Bundle | None) -> str:
    """Which edits of the knowledge base the links see."""
    from entlink.kb.live import LiveKnowledgeBase

    kb: Any = getattr(linker, "kb", None)
    if isinstance(kb, LiveKnowledgeBase):
        return kb.last_edit
    if bundle is None:
        return "unknown"
    opened = LiveKnowledgeBase.open_with(bundle.path, bundle.edits)
    with opened:
        return opened.last_edit
