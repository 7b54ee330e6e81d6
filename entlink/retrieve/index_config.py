"""How the vectors of a bundle are searched: index.json in a bundle, and beside an index file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from entlink.errors import BundleError, ConfigError, reason

CONFIG_NAME = "index.json"  # in a bundle, and beside the index itself
NAMES = ("flat", "hnsw", "ivfpq")
_SMALL = 10_000  # vectors that are compared one by one whatever the name
_PROBED = 7  # times the root of their number are read: queries lie apart from what they look for


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """An index, and how it is searched; without its factory "Flat", which is exact."""

    factory: str = "Flat"  # for faiss.index_factory, or a name: hnsw, ivfpq
    search: str = ""  # for faiss.ParameterSpace, as "nprobe=64" or "efSearch=256"
    rescore: int = 2  # times as many are found as asked for, and put in order by stored vectors

    def __post_init__(self) -> None:
        if self.rescore < 1:
            raise ConfigError(f"rescore is {self.rescore}; it must be at least 1")

    @classmethod
    def parse(cls, text: str) -> IndexConfig:
        """A name or a factory, and what follows a semicolon: "ivfpq; nprobe=64; rescore=8"."""
        factory, *settings = (part.strip() for part in text.split(";"))
        chosen = cls("Flat" if factory.lower() == "flat" else factory)
        if factory.lower() in NAMES[1:]:
            chosen = cls(factory.lower())
        search = []
        for setting in filter(None, settings):
            name, _, value = setting.partition("=")
            if not value.isdigit():
                raise ConfigError(f"{setting!r} of index {text!r} is no NAME=NUMBER")
            if name == "rescore":
                chosen = replace(chosen, rescore=int(value))
            else:
                search.append(setting)
        if chosen.is_exact and settings:
            raise ConfigError(f"index {text!r}: a flat index is exact and has no settings")
        return replace(chosen, search=",".join(search))

    @property
    def is_exact(self) -> bool:
        """Is every vector compared?"""
        return self.factory == "Flat"

    @property
    def is_ivf(self) -> bool:
        """Does it hold vectors in lists, of which a search reads some?"""
        return "IVF" in self.factory

    @property
    def n_train(self) -> int:
        """Vectors to train it on: 64 a list, and never fewer than 65,536."""
        lists = self.factory.partition("IVF")[2]
        digits = lists[: len(lists) - len(lists.lstrip("0123456789"))]
        return max(1 << 16, 64 * int(digits or 0))

    def resolved(self, n: int, dim: int) -> IndexConfig:
        """With a factory in place of a name, for n vectors (n, dim), and with search settings."""
        if self.factory not in NAMES:
            return self
        if n < _SMALL:
            return IndexConfig("Flat", rescore=self.rescore)
        if self.factory == "hnsw":
            return replace(self, factory="HNSW32,SQ8", search=self.search or "efSearch=256")
        lists = 1 << int(math.log2(4 * math.sqrt(n)))
        parts = dim // 2 if dim % 2 == 0 else dim  # four bits each, which are scanned fastest
        search = self.search or f"nprobe={min(lists, round(_PROBED * math.sqrt(lists)))}"
        return replace(self, factory=f"IVF{lists},PQ{parts}x4fsr", search=search)

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def load(cls, path: Path) -> IndexConfig:
        """Read what ``dump`` gave; BundleError if it is something else."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, ConfigError) as error:
            raise BundleError(
                f"{path}: not the settings of an index ({reason(error)}); make it again"
            ) from error
