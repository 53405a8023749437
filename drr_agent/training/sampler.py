"""The order of training rows: attempts at one question side by side, right and wrong in turn."""

import random
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain, zip_longest

from torch.utils.data import Sampler

_WINDOW = 16
"""Batches that are drawn together and sorted by length, so that little is padded."""

_Chunk = list[int]


class PairSampler(Sampler[int]):
    """Yields every row once an epoch, in chunks of attempts at one question.

    Chunks with right and wrong attempts are spread evenly, so every batch has pairs where there are enough. The order
    depends on the seed and the epoch alone, so a resumed training sees the rows it would have seen.

    Args:
        groups: which rows may be compared, such as those of a question and Reasoner; length n.
        labels: whether each row is right; length n.
        lengths: tokens of each row; length n.
        own: whether each row's Reasoner has a partner for it; these come together first. Length n.
        batch_size: rows a step.
        chunk_size: most rows of a chunk.
        pairs_only: leave out the rows that no pair can have, for a loss of pairs alone.
        seed: of the order.
    """

    def __init__(
        self,
        groups: Sequence[Hashable],
        labels: Sequence[bool],
        lengths: Sequence[int],
        own: Sequence[bool],
        *,
        batch_size: int,
        chunk_size: int,
        pairs_only: bool,
        seed: int,
    ) -> None:
        self._labels, self._lengths, self._own = labels, lengths, own
        self._batch_size, self._chunk_size, self._seed = batch_size, chunk_size, seed
        self._epoch = 0
        members: dict[Hashable, list[int]] = {}
        for index, group in enumerate(groups):
            members.setdefault(group, []).append(index)
        self._groups = [rows for rows in members.values() if not pairs_only or len({labels[row] for row in rows}) == 2]

    def __len__(self) -> int:
        return sum(map(len, self._groups))

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's order comes next; called by the Trainer."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self._seed}:{self._epoch}")
        chunks = self._chunks(generator)
        generator.shuffle(chunks)
        width = max(1, self._batch_size * _WINDOW // self._chunk_size)
        windows = (chunks[start : start + width] for start in range(0, len(chunks), width))
        rows = [row for window in windows for row in self._arranged(window)]
        batches = [rows[start : start + self._batch_size] for start in range(0, len(rows), self._batch_size)]
        short = [batches.pop()] if len(rows) % self._batch_size else []
        generator.shuffle(batches)
        yield from chain.from_iterable([*batches, *short])

    def _arranged(self, window: Sequence[_Chunk]) -> Iterator[int]:
        """Rows by length, with the chunks that have pairs spread evenly among those that have none."""
        ordered = sorted(window, key=lambda chunk: max(self._lengths[row] for row in chunk))
        paired = [chunk for chunk in ordered if len({self._labels[row] for row in chunk}) == 2]
        alone = [chunk for chunk in ordered if len({self._labels[row] for row in chunk}) == 1]
        return chain.from_iterable(_interleave(paired, alone))

    def _chunks(self, generator: random.Random) -> list[_Chunk]:
        """Groups in pieces of at most the chunk size."""
        chunks = []
        for rows in self._groups:
            drawn = sorted(generator.sample(rows, len(rows)), key=lambda row: not self._own[row])
            right = [row for row in drawn if self._labels[row]]
            wrong = [row for row in drawn if not self._labels[row]]
            turns = [row for pair in zip_longest(right, wrong) for row in pair if row is not None]
            chunks += [turns[start : start + self._chunk_size] for start in range(0, len(turns), self._chunk_size)]
        return chunks


def _interleave(first: Sequence[_Chunk], second: Sequence[_Chunk]) -> list[_Chunk]:
    """Both lists in their order, each spread evenly over the whole."""
    placed = [((index + 0.5) / len(chunks), chunk) for chunks in (first, second) for index, chunk in enumerate(chunks)]
    return [chunk for _, chunk in sorted(placed, key=lambda item: item[0])]
