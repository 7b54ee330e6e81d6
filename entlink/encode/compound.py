"""The parts of a tower (Gillick et al. 2019, "DEER"): text, sparse-ID and compound encoders."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from entlink.encode.features import Bags, Ragged, join_ragged, ragged


class Embedder(nn.Module):
    """The one table of hashed n-gram embeddings that all text encoders share."""

    def __init__(self, *, rows: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)

    def forward(self, texts: Sequence[Bags]) -> list[Tensor]:
        """For each of the sequences of n texts, their averages side by side: (n, kinds * dim).

        A text without features of a kind averages to zero. All bags go through one look-up, since
        its gradient is as large as the table: once a tower is ten times faster than once a bag.
        """
        bags = [bag for text in texts for bag in text.kinds()]
        joined = join_ragged(bags)
        weight = self.table.weight
        means = _averages(weight, joined)
        parts = iter(torch.split(means, [len(bag) for bag in bags]))
        return [torch.cat([next(parts) for _ in text.kinds()], dim=1) for text in texts]


class TextEncoder(nn.Module):
    """Averages of unigrams, of bigrams and (for names) of character n-grams, then one layer."""

    def __init__(self, *, dim: int, kinds: int, out: int) -> None:
        super().__init__()
        self.layer = nn.Linear(dim * kinds, out)

    def forward(self, means: Tensor) -> Tensor:
        """(n, kinds * dim), from an Embedder -> (n, out)"""
        encoded: Tensor = functional.gelu(self.layer(means))
        return encoded


class SparseEncoder(nn.Module):
    """Average of ID embeddings, one layer. IDs are hashed, so those of another KB do not crash."""

    def __init__(self, *, rows: int, dim: int, out: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.layer = nn.Linear(dim, out)

    def forward(self, bag: Ragged) -> Tensor:
        """(n sets of IDs) -> (n, out); an empty set is a zero average."""
        encoded: Tensor = functional.gelu(self.layer(_averages(self.table.weight, bag)))
        return encoded


def _averages(table: Tensor, bags: Ragged) -> Tensor:
    """(rows, dim) -> (n, dim): of each bag the mean of its rows; zero if it has none."""
    ids, offsets = (
        torch.from_numpy(array).to(table.device, non_blocking=True)  # a GPU is not waited for
        for array in (bags.ids, bags.offsets[:-1])
    )
    return functional.embedding_bag(ids, table, offsets, mode="mean")


def hash_ids(sets: Sequence[Sequence[str]], *, rows: int) -> Ragged:
    """IDs to table rows, the same in every process and on every platform."""
    return ragged(
        [
            [zlib.crc32(item.encode("utf-8", "surrogatepass")) % rows for item in items if item]
            for items in sets
        ]
    )


class CompoundEncoder(nn.Module):
    """Concatenate the parts, then two feed-forward layers."""

    def __init__(self, *, parts: int, hidden: int, out: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(parts, hidden)
        self.second = nn.Linear(hidden, out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        """n parts of (batch, size_i) -> (batch, out)"""
        joined = self.dropout(torch.cat(list(parts), dim=1))
        mixed: Tensor = self.second(self.dropout(functional.gelu(self.first(joined))))
        return mixed
