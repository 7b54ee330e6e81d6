"""entlink: find the names in a text and link each to an entry of a knowledge base, or to none.

>>> import entlink
>>> linker = entlink.load()
>>> linker.link("Jordan scored 40 points for Chicago.")

Importing this package loads neither torch nor spaCy nor faiss; ``load`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entlink.errors import BundleError, ConfigError, EntlinkError, InputError
from entlink.records import NIL, Candidate, Document, Entity, Link, LinkedDocument, Mention

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from entlink.corpus import link_corpus
    from entlink.linker import Linker

__version__ = "0.1.0"

__all__ = [
    "NIL",
    "BundleError",
    "Candidate",
    "ConfigError",
    "Document",
    "Entity",
    "EntlinkError",
    "InputError",
    "Link",
    "LinkedDocument",
    "Linker",
    "Mention",
    "__version__",
    "link_corpus",
    "link_frame",
    "load",
]


def load(
    bundle: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
    exact: bool = False,
) -> Linker:
    """Load a linker: the built-in bundle, or the one of that name or in that folder.

    ``device`` is "auto", "cpu", "cuda" or another device that torch knows; ``threads`` None
    leaves the number of threads to torch. ``backend`` computes the reranker: "torch" (single
    precision), "bf16", "openvino" (eight bits), or "auto", which is the last where
    `entlink bundle int8` has made it. ``exact`` reads every candidate. Raises BundleError if the
    bundle is unknown, damaged, or made by a newer version of entlink.
    """
    from entlink.linker import Linker

    return Linker.load(bundle, device=device, threads=threads, backend=backend, exact=exact)


def link_frame(frame: pd.DataFrame, *, text: str = "text", **options: Any) -> pd.DataFrame:
    """The mentions in a frame's column of texts and their links, one row a mention.

    ``options`` are those of `entlink.corpus.link_frame`: linker, bundle, device, ...
    """
    from entlink.corpus import link_frame

    return link_frame(frame, text=text, **options)


def __getattr__(name: str) -> object:
    if name == "link_corpus":
        from entlink.corpus import link_corpus

        return link_corpus
    if name == "Linker":  # loaded when first asked for: it needs torch and spaCy
        from entlink.linker import Linker

        return Linker
    raise AttributeError(f"module 'entlink' has no attribute {name!r}")
