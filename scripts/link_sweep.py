"""The SNR sweep of scripts/bench_channel.py: ours against x264 and x265 over one link at one channel bandwidth ratio.

Two cases. "adapted": both ends know the SNR, and everybody codes for the scheme that the chooser picks for it.
"fixed": one transmission is made for DESIGN dB and met by receivers of every SNR; ours protects all but every other
texture unit for receivers down to about -2 dB, the peers send everything for DESIGN dB. Every system may spend the
same symbols; its encodings of many rates (a peer's at full, half, quarter and eighth size) are made once, and of those
that fit the one of best PSNR is sent.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import link_peers
import numpy as np
from evaluation.clips import find_clips, load
from evaluation.tables import mean_interval

from semjax import metrics, stream
from semjax.channel import LinkConfig, price_packets, transmit_packets
from semjax.errors import RateError
from semjax.systems import causal, link, sources, verbs

DESIGN = 8.0
NARROW = (1.0, 0.5, 0.0, 0.0)  # dB of protection where the SNR is known
WIDE = (11.0, 10.5, 10.0, 0.0)  # dB of protection in the fixed case: all but class 3 for about -2 dB
EFFICIENCIES = [0.28 * 1.3**i for i in range(12)]  # bits a symbol that ours is coded for: 0.28 to 5
CRFS = np.arange(51, 15, -2.5)
LINK_CLASS = 2  # of the peers' packets: no additional protection
MEASURES = {"psnr": metrics.psnr, "ms_ssim": metrics.ms_ssim, "gmsd": metrics.gmsd}


@dataclasses.dataclass
class Clip:
    """Frames uint8 [T, H, W, 3], label maps or None, frames a second, and what is measured of a received clip."""

    name: str
    frames: np.ndarray
    labels: np.ndarray | None
    fps: object
    measures: Mapping[str, Callable] = dataclasses.field(default_factory=lambda: MEASURES)

    @classmethod
    def read(cls, folder: Path, count: int) -> "Clip":
        """The first `count` frames of a folder with video.mp4 or frames/, perhaps labels/ and meta.json."""
        clip = load(next(find_clips(folder)), count)
        return cls(folder.name, clip.frames, clip.labels, clip.fps)

    @property
    def info(self):
        """Size and rate."""
        return sources.frames_from_array(self.frames, self.fps).info

    def room(self, cbr: float) -> int:
        """Symbols that a bandwidth ratio allows."""
        return int(cbr * self.frames.size)

    def measure(self, picture: np.ndarray) -> dict[str, float]:
        """Quality of a received clip."""
        return {name: float(f(self.frames, picture)) for name, f in self.measures.items()}


class Ours:
    """semjax, painted without a network."""

    def __init__(self, clip: Clip, room: int):
        self.clip, self.painted = clip, {}
        code = self._coder(period=32)
        self.streams = []
        for efficiency in EFFICIENCIES:
            with contextlib.suppress(RateError):
                self.streams.append(code(efficiency * room / clip.info.seconds))

    def _coder(self, period):
        source = sources.frames_from_array(self.clip.frames, self.clip.fps)
        maps = (
            None if self.clip.labels is None else sources.labels_from_array(self.clip.labels, self.clip.info)
        )
        cfg = causal.SenderConfig(period=period, texture_period=period)
        code = causal.coder(source, causal.understand(source, maps, None, cfg), cfg)
        return lambda bitrate: stream.pack(code(bitrate))

    def make_for(self, cfg: LinkConfig, cbr: float) -> bytes:
        """A stream for one link: units of 16 frames, so that every other texture unit is a short stretch."""
        return link.fit_symbols(self._coder(period=16), self.clip.info, cfg, cbr)

    def choose(self, cfg: LinkConfig, room: int) -> bytes | None:
        """The stream of best PSNR that fits."""
        fits = [data for data in self.streams if link.price(data, cfg).symbols <= room]
        return max(fits, key=lambda data: self._show(data)["psnr"], default=None)

    def cost(self, data: bytes, cfg: LinkConfig) -> tuple[int, int]:
        """Bytes and symbols of a stream sent once."""
        return len(data), link.price(data, cfg).symbols

    def run(self, data: bytes, cfg: LinkConfig, seed: int) -> dict[str, float]:
        """Send and paint: quality, symbols, share of packets that arrived."""
        sent = link.send(data, cfg, jax.random.key(seed))
        return {**self._show(sent.received), **_shares(sent.ledger)}

    def _show(self, received):
        if received not in self.painted:
            grey = np.full(self.clip.frames.shape, 128, np.uint8)
            picture = verbs.decode(stream.unpack(received)) if received else grey
            self.painted[received] = self.clip.measure(picture)
        return self.painted[received]


class Peer:
    """x264 or x265."""

    def __init__(self, clip: Clip, codec: str, most: int):
        self.clip, self.decoded, self.choices = clip, {}, []
        for scale in (1, 2, 4, 8):
            if min(clip.frames.shape[1:3]) < 16 * scale:
                break  # encoders refuse smaller pictures
            for crf in CRFS:
                sent = link_peers.encode(clip.frames, clip.fps, codec, crf, scale)
                size = sum(sent.packets[0]) + len(sent.header)
                if size > most:
                    break
                picture, _ = link_peers.decode(sent, [True] * len(sent.nals), clip.frames.shape)
                self.choices.append((-float(metrics.mse(clip.frames, picture)), sent))
        self.choices.sort(key=lambda choice: -choice[0])

    def _show(self, sent, arrived):
        if (sent, arrived) not in self.decoded:
            picture, share = link_peers.decode(sent, arrived, self.clip.frames.shape)
            self.decoded[sent, arrived] = {**self.clip.measure(picture), "decoded": share}
        return self.decoded[sent, arrived]

    def choose(self, cfg: LinkConfig, room: int):
        """The encoding of best PSNR that fits."""
        return next((sent for _, sent in self.choices if self.cost(sent, cfg)[1] <= room), None)

    def cost(self, sent, cfg: LinkConfig) -> tuple[int, int]:
        """Bytes and symbols, everything sent once."""
        sizes = [len(sent.header), *sent.packets[0]]
        classes = [0] + [LINK_CLASS] * (len(sizes) - 1)
        return sum(sizes), price_packets(sizes, classes, cfg).symbols

    def deliver(self, sent, cfg: LinkConfig, seed: int):
        """Send: (for each NAL unit whether it arrived, the ledger)."""
        sizes, homes = sent.packets
        fill = np.random.default_rng(
            0
        )  # what is in the packets does not matter, but that it is no row of zeros does
        packets = [sent.header, *map(fill.bytes, sizes)]
        classes, tries = [0] + [LINK_CLASS] * len(sizes), [link.SESSION_TRIES] + [1] * len(sizes)
        got, ledger = transmit_packets(jax.random.key(seed), packets, classes, cfg, tries=tries)
        there = [packet is not None for packet in got]
        return tuple(there[0] and all(there[1 + i] for i in home) for home in homes), ledger

    def run(self, sent, cfg: LinkConfig, seed: int) -> dict[str, float]:
        """Send and decode: quality, symbols, share of packets that arrived."""
        arrived, ledger = self.deliver(sent, cfg, seed)
        return {**self._show(sent, arrived), **_shares(ledger)}


def _shares(ledger):
    return {"symbols": ledger.symbols, "arrived": 1 - ledger.lost / ledger.packets}


def nothing(clip: Clip) -> dict[str, float]:
    """What a viewer has when no encoding fits."""
    return {**clip.measure(np.full(clip.frames.shape, 128, np.uint8)), "symbols": 0, "arrived": 0.0}


def configs(case: str, channel: str, snr: float, system: str) -> LinkConfig:
    """The link of a case as a system uses it."""
    cfg = LinkConfig(channel, snr_db=snr, protection=NARROW)
    if case == "fixed":
        cfg = dataclasses.replace(
            cfg, design_snr_db=DESIGN, protection=WIDE if system == "semjax" else NARROW
        )
    return cfg


def sweep(clip: Clip, channel: str, cbr: float, snrs, seeds: int, cases) -> Iterator[dict]:
    """Rows as they are done, one for each case, system and SNR: every figure as mean over seeds and interval."""
    room = clip.room(cbr)
    systems = {"semjax": Ours(clip, room)}
    systems |= {codec: Peer(clip, codec, most=room * 5 // 8) for codec in link_peers.CODECS}
    for case in cases:
        for name, system in systems.items():
            if case == "adapted" and name == link_peers.REFRESHED:
                continue  # a link that hardly loses anything gives nothing for refreshing
            fixed = None
            if case == "fixed":
                cfg = configs(case, channel, DESIGN, name)
                fixed = system.make_for(cfg, cbr) if name == "semjax" else system.choose(cfg, room)
            for snr in snrs:
                cfg = configs(case, channel, snr, name)
                choice = fixed or system.choose(cfg, room)
                runs = (
                    [system.run(choice, cfg, seed) for seed in range(seeds)]
                    if choice
                    else [nothing(clip)] * seeds
                )
                row = {"clip": clip.name, "channel": channel, "case": case, "system": name, "snr": snr}
                row["bytes"] = system.cost(choice, cfg)[0] if choice else 0
                for key in (*MEASURES, "symbols", "arrived"):
                    row[key] = mean_interval([run[key] for run in runs])
                yield row


def table(rows: list[dict], measure: str) -> str:
    """Markdown: one line for each SNR, one column for each system; mean and half the interval's width."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    out = ["| SNR dB | " + " | ".join(systems) + " |", "|--:|" + "--:|" * len(systems)]
    for snr in sorted({row["snr"] for row in rows}):
        cells = []
        for system in systems:
            row = next(r for r in rows if r["snr"] == snr and r["system"] == system)
            if measure == "bytes":
                cells.append(f"{row['bytes']:,}")
                continue
            mean, low, high = row[measure]
            digits = {"psnr": 2, "symbols": 0}.get(measure, 3)
            spread = f" ({low:.{digits}f} to {high:.{digits}f})" if high - low > 10**-digits else ""
            cells.append(f"{mean:.{digits}f}{spread}" if row["bytes"] else "does not fit")
        out.append(f"| {snr:g} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def plot(rows: list[dict], path: Path) -> None:
    """PSNR and MS-SSIM over SNR, one row of panels for each clip, one column for each case and measure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    clips, cases = (list(dict.fromkeys(row[key] for row in rows)) for key in ("clip", "case"))
    panels = [(case, measure) for case in cases for measure in ("psnr", "ms_ssim")]
    figure, axes = plt.subplots(
        len(clips),
        len(panels),
        figsize=(3.6 * len(panels), 2.9 * len(clips)),
        squeeze=False,
        layout="constrained",
    )
    for line, clip in zip(axes, clips):
        for axis, (case, measure) in zip(line, panels):
            for system, colour in zip(
                ["semjax", *link_peers.CODECS], ("#2f7fb8", "#c2762b", "#d9b38c", "#4d9a57")
            ):
                mine = [
                    r
                    for r in rows
                    if (r["clip"], r["case"], r["system"]) == (clip, case, system) and r["bytes"]
                ]
                if mine:
                    snr = [r["snr"] for r in mine]
                    mean, low, high = np.array([r[measure] for r in mine]).T
                    axis.plot(
                        snr, mean, color=colour, label=system, marker=".", lw=1.6 + (system == "semjax")
                    )
                    axis.fill_between(snr, low, high, color=colour, alpha=0.25, lw=0)
            axis.set_title(f"{clip}, {case}", fontsize=9)
            axis.set_xlabel("Es/N0 in dB", fontsize=8)
            axis.set_ylabel({"psnr": "PSNR in dB", "ms_ssim": "MS-SSIM"}[measure], fontsize=8)
            axis.grid(alpha=0.25)
    axes[0, -1].legend(fontsize=7)
    figure.savefig(path, dpi=110)
