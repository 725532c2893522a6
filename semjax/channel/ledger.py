"""What a run over the link cost, down to the symbol."""

import dataclasses

from semjax.channel import checks


@dataclasses.dataclass(frozen=True)
class LinkLedger:
    """Everything that crossed the link in one run; nothing is charged at an ideal capacity.

    The bits add up: source + framing + crc + parity + padding + repeated = coded, and `coded_symbols` carry them.
    `symbols` adds what carries no bits: pilots and the filling of frames up to the grid.
    """

    channel: str
    packets: int = 0
    lost: int = 0
    source_bits: int = 0  # the packets as given
    framing_bits: int = 0  # frame headers
    crc_bits: int = 0  # of packets, their code blocks and headers
    parity_bits: int = 0  # added by the LDPC codes and their rate matching
    padding_bits: int = 0  # zeros between a packet and its check, so that its code blocks are equally long
    repeated_bits: int = 0  # coded bits of packets that are sent again
    coded_symbols: int = 0
    filling_symbols: int = 0  # up to the grid on which frames begin
    pilot_symbols: int = 0
    feedback_bits: int = 0  # on the way back, one for each packet that may be sent again; not in `symbols`
    source_bits_by_class: tuple[int, ...] = (0, 0, 0, 0)
    lost_by_class: tuple[int, ...] = (0, 0, 0, 0)
    packets_by_class: tuple[int, ...] = (0, 0, 0, 0)

    @property
    def coded_bits(self) -> int:
        """All bits behind the channel encoder."""
        return (
            self.source_bits + self.framing_bits + self.crc_bits + self.parity_bits + self.padding_bits
        ) + self.repeated_bits

    @property
    def symbols(self) -> int:
        """Complex channel uses; 0 for channels that are no radio link."""
        return self.coded_symbols + self.filling_symbols + self.pilot_symbols

    def cbr(self, frames: int, height: int, width: int, channels: int = 3) -> float:
        """Channel bandwidth ratio: symbols / (C H W T), as in LGVSC (arXiv 2606.12899)."""
        scalars = 1
        for name, value in (("frames", frames), ("height", height), ("width", width), ("channels", channels)):
            scalars *= checks.count(value, name, low=1)
        return self.symbols / scalars

    def as_dict(self) -> dict:
        """All counts and the two sums, for a report; JSON-ready."""
        return {**dataclasses.asdict(self), "coded_bits": self.coded_bits, "symbols": self.symbols}
