"""Corpora: documents in, links out, nothing lost. `link_corpus` and `link_frame`."""

from __future__ import annotations

from entlink.corpus.frame import link_frame
from entlink.corpus.job import Progress, Summary
from entlink.corpus.link import link_corpus

__all__ = ["Progress", "Summary", "link_corpus", "link_frame"]
