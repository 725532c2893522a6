"""Which 5G NR LDPC code carries k bits in n: base graph, lifting size, fillers and rate matching (TS 38.212)."""

import dataclasses
import functools

import numpy as np

from semjax.channel import base_graphs, checks
from semjax.errors import InputError

# Numerators of k0 in units of Z by redundancy version, TS 38.212 Table 5.4.2.1-2 (full circular buffer).
_STARTS = {1: (0, 17, 33, 56), 2: (0, 13, 25, 43)}
LARGEST = {1: 8448, 2: 3840}  # bits of a code block, section 5.2.2
MAX_RATE = 0.95  # above it TS 38.214 (5.1.3) lets a receiver skip the block
_MAX_REPEATS = 64  # n may repeat the circular buffer so often; beyond, a setting is surely a mistake


@dataclasses.dataclass(frozen=True)
class LdpcCode:
    """One 5G NR LDPC code block: `k` bits in, `n` bits on the air (TS 38.212, sections 5.3.2 and 5.4.2).

    k                bits before encoding, any CRC included: 1 to 8448 (3840 with base graph 2)
    n                bits after rate matching; k / n at most 0.95
    base_graph       1, 2, or None for the rule of section 7.2.2 applied to k and k / n (graph 1 above 3840 bits)
    bits_per_symbol  Q_m of the bit interleaver (1 = none); divides n
    version          redundancy version 0 to 3: where reading of the circular buffer starts
    Raises InputError for settings outside these limits.
    """

    k: int
    n: int
    base_graph: int | None = None
    bits_per_symbol: int = 1
    version: int = 0

    def __post_init__(self):
        checks.count(self.k, "k", low=1, high=LARGEST[1])
        checks.count(self.n, "n", low=1)
        checks.count(self.bits_per_symbol, "bits_per_symbol", low=1, high=16)
        checks.count(self.version, "the redundancy version", high=3)
        if self.k > MAX_RATE * self.n:
            raise InputError(f"the code rate k/n = {self.k}/{self.n} is above {MAX_RATE}; use a larger n")
        if self.n % self.bits_per_symbol:
            raise InputError(f"n = {self.n} must be a multiple of bits_per_symbol = {self.bits_per_symbol}")
        if self.base_graph is None:
            graph = 2 if self.k <= LARGEST[2] and prefers_graph_2(self.k, self.rate) else 1
            object.__setattr__(self, "base_graph", graph)
        if self.base_graph not in (1, 2):
            raise InputError(f"the base graph must be 1 or 2, got {self.base_graph!r}")
        if self.k > LARGEST[self.base_graph]:
            limit = LARGEST[self.base_graph]
            raise InputError(f"base graph {self.base_graph} takes at most {limit} bits, not {self.k}")
        if self.n > _MAX_REPEATS * base_graphs.COLUMNS[self.base_graph] * lifting_size(
            self.k, self.base_graph
        ):
            raise InputError(
                f"n = {self.n} would repeat a code of k = {self.k} more than {_MAX_REPEATS} times"
            )

    @property
    def rate(self) -> float:
        """k / n."""
        return self.k / self.n

    @property
    def layout(self) -> "Layout":
        """The tables that encoder and decoder read."""
        return _layout(self)


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Tables of one code; positions count from the first of the 2 Z punctured bits of the mother code.

    z          lifting size                     rows     (column, shift) pairs of the rows in use
    known      first column that is parity      columns  number of variable columns in use
    order      int [M]: the positions of the circular buffer in sending order, fillers left out
    sent       int [n]: position of each bit on the air, interleaved
    """

    z: int
    known: int
    columns: int
    rows: tuple[tuple[tuple[int, int], ...], ...]
    order: np.ndarray
    sent: np.ndarray


def read_table(rows, z: int, nothing: int, turn: dict[int, int] | None = None) -> np.ndarray:
    """int [D, len(rows), Z]: position of the d-th bit that each check reads; `nothing` where a row has fewer.

    `turn` tells for each column by how much it is stored rotated (see `decoder`).
    """
    table = np.full((max(map(len, rows), default=0), len(rows), z), nothing)
    for i, row in enumerate(rows):
        for d, (c, s) in enumerate(row):
            table[d, i] = c * z + (np.arange(z) + s - (turn[c] if turn else 0)) % z
    return table


def prefers_graph_2(bits: int, rate: float) -> bool:
    """The rule of TS 38.212 section 7.2.2 for a payload of `bits` at code rate `rate`."""
    return bits <= 292 or (bits <= 3824 and rate <= 0.67) or rate <= 0.25


def lifting_size(k: int, base_graph: int) -> int:
    """Smallest lifting size Z with K_b Z >= k (TS 38.212, section 5.2.2)."""
    columns = 22 if base_graph == 1 else 10 if k > 640 else 9 if k > 560 else 8 if k > 192 else 6
    return next(z for z in base_graphs.LIFTING_SIZES if columns * z >= k)


@functools.lru_cache(maxsize=512)
def _layout(code: LdpcCode) -> Layout:
    graph = code.base_graph
    z = lifting_size(code.k, graph)
    known = base_graphs.SYSTEMATIC_COLUMNS[graph]
    buffer = np.arange(2 * z, base_graphs.COLUMNS[graph] * z)
    start = _STARTS[graph][code.version] * z
    order = np.concatenate([buffer[start:], buffer[:start]])
    order = order[(order < code.k) | (order >= known * z)]
    sent = np.resize(order, code.n).reshape(code.bits_per_symbol, -1).T.ravel()

    # An extension column (beyond the four core parity columns) hangs on its own row alone: when none of its
    # bits is sent, that row says nothing and is left out.
    all_rows = base_graphs.edges(graph, z)
    used = np.unique(sent // z)
    last = max(known + 4, int(used[-1]) + 1)
    rows = tuple(row for i, row in enumerate(all_rows[: last - known]) if i < 4 or known + i in used)
    return Layout(z, known, last, rows, order, sent)
