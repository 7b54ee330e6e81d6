"""Finding mentions: Doc -> list[Mention]."""

from entlink.detect.detector import Detector
from entlink.detect.gazetteer import Gazetteer
from entlink.detect.given import given_mentions, mention_of, mentions_of_ents
from entlink.detect.recogniser import Recogniser

__all__ = [
    "Detector",
    "Gazetteer",
    "Recogniser",
    "given_mentions",
    "mention_of",
    "mentions_of_ents",
]
