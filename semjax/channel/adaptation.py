"""Which modulation and code rate for which channel: the published table, and a chooser on measured thresholds."""

import bisect
import dataclasses
import math
import re
from statistics import NormalDist

from semjax.channel import checks
from semjax.channel.codes import MAX_RATE
from semjax.channel.modulation import MODULATIONS, bits_per_symbol
from semjax.channel.thresholds import SIZES, THRESHOLDS
from semjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Mcs:
    """A modulation and coding scheme: `k` bits (checks included) in `n` coded bits, so many to a symbol.

    Only the ratio k / n counts: packets of any size are sent at this rate. Raises InputError for an unknown
    modulation or a rate above 0.95.
    """

    modulation: str
    k: int
    n: int

    def __post_init__(self):
        checks.choice(self.modulation, "the modulation", MODULATIONS)
        checks.count(self.k, "k", low=1)
        checks.count(self.n, "n", low=1)
        if self.k > MAX_RATE * self.n:
            raise InputError(f"the code rate k/n = {self.k}/{self.n} is above {MAX_RATE}; use a larger n")
        if self.n > 64 * self.k:
            raise InputError(f"the code rate k/n = {self.k}/{self.n} is below 1/64; use a smaller n")

    @property
    def rate(self) -> float:
        """Code rate k / n."""
        return self.k / self.n

    @property
    def efficiency(self) -> float:
        """Bits, checks included, that one symbol carries."""
        return self.rate * bits_per_symbol(self.modulation)

    def coded_bits(self, bits: int) -> int:
        """Coded bits, a whole number of symbols, for `bits` bits at this rate."""
        order = bits_per_symbol(self.modulation)
        return -(-bits * self.n // (self.k * order)) * order


def parse_mcs(text: str) -> Mcs | str | None:
    """A scheme by name, as `LinkConfig.mcs` takes it: "auto" (None), "lgvsc", or MODULATION:K/N such as "16qam:3/4".

    Raises InputError for anything else, an unknown modulation or a rate above 0.95.
    """
    if text in ("auto", "lgvsc"):
        return None if text == "auto" else text
    match = re.fullmatch(r"([^:]+):(\d{1,9})/(\d{1,9})", text)
    if not match:
        raise InputError(
            f"a scheme is auto, lgvsc or MODULATION:K/N such as qpsk:1/2 or 16qam:3/4, got {text!r}"
        )
    return Mcs(match[1], int(match[2]), int(match[3]))


# LGVSC (arXiv 2606.12899), classical links, as released: AWGN, SNR in dB -> scheme.
LGVSC_TABLE = {
    0: Mcs("qpsk", 3072, 9216),
    2: Mcs("qpsk", 4096, 8192),
    4: Mcs("qpsk", 6144, 9216),
    6: Mcs("qpsk", 6144, 8192),
    8: Mcs("16qam", 4096, 8192),
    10: Mcs("16qam", 6144, 9216),
}


def lgvsc_mcs(snr_db: float) -> Mcs:
    """The published scheme for `snr_db`: the nearest entry not above it (0 dB's below 0, 10 dB's above 10)."""
    snr_db = checks.number(snr_db, "the SNR in dB")
    entries = sorted(LGVSC_TABLE)
    return LGVSC_TABLE[entries[max(bisect.bisect_right(entries, snr_db) - 1, 0)]]


def ladder() -> tuple[Mcs, ...]:
    """The schemes whose thresholds are measured, from the slowest to the fastest."""
    return tuple(sorted((Mcs(*scheme) for scheme in THRESHOLDS["none"]), key=lambda mcs: mcs.efficiency))


def required_snr(mcs: Mcs, bits: int, target_error: float, fading: str = "none") -> float:
    """Es/N0 in dB at which blocks of `bits` bits (checks included) fail with probability `target_error`.

    `fading` is "none" (AWGN) or "rayleigh" (a known gain of its own for each symbol; the mean SNR). From a normal
    curve fitted to measured block error rates of this package's decoder (scripts/measure_thresholds.py) and
    interpolated over log2 of the block size; below about 1e-3 it is an extrapolation that knows no error floor.
    Raises InputError for schemes or channels without measurement and for odd settings.
    """
    table = THRESHOLDS[checks.choice(fading, "fading", tuple(THRESHOLDS))]
    key = (mcs.modulation, mcs.k, mcs.n)
    if key not in table:
        raise InputError(f"no threshold is measured for {mcs}; use one of ladder()")
    checks.count(bits, "the block size in bits", low=1)
    if not 0 < checks.number(target_error, "the target error rate") < 1:
        raise InputError(f"the target error rate must lie between 0 and 1, got {target_error}")
    deviations = -NormalDist().inv_cdf(target_error)
    return _at_size(bits, [middle + deviations * width for middle, width in table[key]])


def predicted_error(mcs: Mcs, bits: int, snr_db: float, fading: str = "none") -> float:
    """Block error rate at `snr_db` by the same fit as `required_snr`."""
    half = required_snr(mcs, bits, 0.5, fading)
    width = required_snr(mcs, bits, NormalDist().cdf(-1.0), fading) - half
    return NormalDist().cdf((checks.number(snr_db, "the SNR in dB") - half) / -width)


def choose_mcs(snr_db: float, bits: int, target_error: float = 1e-3, fading: str = "none") -> Mcs:
    """The fastest scheme that sends blocks of `bits` bits at `snr_db` with at most `target_error` errors.

    Where none does, the slowest one. `fading` as in `required_snr`. Raises InputError for an SNR that is not a
    number, a size below 1, a target outside (0, 1) or an unknown channel.
    """
    snr_db = checks.number(snr_db, "the SNR in dB")
    schemes = ladder()
    good = [mcs for mcs in schemes if required_snr(mcs, bits, target_error, fading) <= snr_db]
    return good[-1] if good else schemes[0]


def _at_size(bits, values):
    """Linear in log2(bits) between the measured sizes, constant beyond them."""
    place = min(max(math.log2(bits), math.log2(SIZES[0])), math.log2(SIZES[-1]))
    upper = next(i for i in range(1, len(SIZES)) if place <= math.log2(SIZES[i]))
    low, high = math.log2(SIZES[upper - 1]), math.log2(SIZES[upper])
    share = (place - low) / (high - low)
    return (1 - share) * values[upper - 1] + share * values[upper]
