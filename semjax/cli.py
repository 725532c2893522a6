"""The command line: transmit, encode, decode, prune, info, evaluate, convert."""

import dataclasses
import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from semjax.errors import InputError, SemjaxError

Positional = tyro.conf.Positional


@dataclasses.dataclass(frozen=True)
class _Sender:
    labels: Path | None = None
    """Folder of 8-bit PNG label maps, one a frame; without it the sender finds regions itself."""
    captions: Path | None = None
    """JSON or text file with the clip's captions; without it a sentence is made from the regions."""
    system: Literal["causal", "mirage", "lgvsc"] = "causal"
    """Which system's sender codes the clip."""
    bitrate: float | None = None
    """Bits a second of everything that crosses the link; without it the system's own: causal 8000 (short clips at least
    1500 bytes), mirage 1/51800 of the raw clip, lgvsc 0.0065 bit a pixel."""
    tolerance: float | None = None
    """Pixels by which contours may be off; without it what the rate allows."""

    selection: Literal["skem", "skim"] = "skem"
    """How lgvsc chooses keyframes: where the meaning changed, or equally far apart."""
    keyframes: int | None = None
    """How many keyframes lgvsc sends; without it what the rate makes best."""
    tokens: Literal["auto", "regions", "latents"] = "auto"
    """What mirage's keyframes are made of: regions with a few numbers each, or latents of a generator's encoder; auto
    takes latents where there are weights with an encoder."""
    weights: Path | None = None
    """Folder of the generator's weights whose encoder makes mirage's tokens; transmit takes those of --generator."""

    def config(self, generator: str = "none"):
        """The sender's settings. Raises InputError for those that make no sense, alone or with the system."""
        from semjax.systems import causal, lgvsc, mirage

        if self.system != "causal" and self.tolerance is not None:
            raise InputError(f"--tolerance is about contours, and the system {self.system} has none")
        if self.system != "lgvsc" and (self.keyframes is not None or self.selection != "skem"):
            raise InputError(f"--keyframes and --selection are for the system lgvsc, not {self.system}")
        if self.system != "mirage" and (self.tokens != "auto" or self.weights is not None):
            raise InputError(f"--tokens and --weights are for the system mirage, not {self.system}")
        if self.system == "mirage":
            weights = self.weights or (None if generator in ("auto", "none", "tiny") else generator)
            weights = None if weights is None else str(weights)
            return mirage.SenderConfig(bitrate=self.bitrate, kind=self.tokens, weights=weights)
        if self.system == "lgvsc":
            return lgvsc.SenderConfig(
                bitrate=self.bitrate, selection=self.selection, keyframes=self.keyframes
            )
        return causal.SenderConfig(bitrate=self.bitrate, tolerance=self.tolerance)


@dataclasses.dataclass(frozen=True)
class _Terms:
    policy: tuple[Path, ...] = ()
    """JSON files with policies of sender, network or receiver (docs/policies.md)."""
    key: Path | None = None
    """File with 64 hexadecimal digits: streams are sealed with it, and opened."""

    def read(self):
        """The terms. Raises InputError for files that cannot be used."""
        from semjax.jobs import Terms

        return Terms.read(self.policy, self.key)


@dataclasses.dataclass(frozen=True)
class _Receiver:
    generator: str = "auto"
    """What paints the video: none (no network), tiny (the bundled weights) or a folder of weights; auto is tiny for
    the system causal and none for the others."""
    seed: int = 0
    """Seed of everything random: channel and generator."""


@dataclasses.dataclass(frozen=True)
class _Link:
    channel: Literal["none", "awgn", "rayleigh", "loss"] = "none"
    """What happens on the link."""
    snr: float = 10.0
    """Signal-to-noise ratio Es/N0 in dB of awgn and rayleigh."""
    loss: float = 0.1
    """Probability that the channel loss drops a packet."""
    burst: float = 1.0
    """Mean length of the bursts of the channel loss, in packets."""
    mcs: str = "auto"
    """Scheme of awgn and rayleigh: auto (by layer and SNR), lgvsc (the published table) or one such as 16qam:3/4."""
    design_snr: float | None = None
    """SNR in dB that the sender reckons with; without it the true one."""
    retransmissions: int = 0
    """How often a lost packet is sent again (HARQ with chase combining)."""

    def config(self):
        """The link's settings. Raises InputError for those that make no sense."""
        from semjax.channel import LinkConfig, parse_mcs

        return LinkConfig(
            self.channel,
            snr_db=self.snr,
            loss=self.loss,
            burst=self.burst,
            mcs=parse_mcs(self.mcs),
            design_snr_db=self.design_snr,
            retransmissions=self.retransmissions,
        )


@dataclasses.dataclass(frozen=True)
class Transmit:
    """Send a clip over a channel and paint it again.

    Writes stream.smj, received.smj, reconstruction.mp4, report.json and report.html.
    Example: semjax transmit clip.mp4 --bitrate 6000 --channel awgn --snr 4 --out run1
    """

    input: Annotated[Positional[Path | None], tyro.conf.arg(metavar="[INPUT]")] = None
    """Video file or folder of numbered pictures; without it the bundled sample."""
    sender: tyro.conf.OmitArgPrefixes[_Sender] = _Sender()
    receiver: tyro.conf.OmitArgPrefixes[_Receiver] = _Receiver()
    link: tyro.conf.OmitArgPrefixes[_Link] = _Link()
    terms: tyro.conf.OmitArgPrefixes[_Terms] = _Terms()
    cbr: float | None = None
    """Instead of --bitrate: symbols on the air for each sample of the clip, such as 1e-3 (awgn and rayleigh)."""
    steps: int | None = None
    """Denoising steps of a diffusion generator; none has no use for it."""
    out: Path = Path("semjax-out")
    """Folder for the results."""

    def run(self) -> None:
        """Do it and print where the bytes went."""
        from semjax import jobs

        link = self.link.config()
        inputs = jobs.Inputs(self.input, self.sender.labels, self.sender.captions)
        command = shlex.join(["semjax", *sys.argv[1:]])
        report = jobs.transmit(
            inputs,
            self.sender.config(self.receiver.generator),
            link,
            self.receiver.generator,
            self.receiver.seed,
            self.out,
            command,
            self.cbr,
            self.steps,
            self.terms.read(),
        )
        print(_table(report["bytes"]))
        print(_link_lines(report["link"], link.channel))
        print(f"{report['channel']['packets_lost']} of {report['channel']['packets']} packets were lost")
        quality = {k: v for k, v in report["quality"].items() if v is not None}
        print(f"{report['rate']['bits_per_second']:.0f} bit/s, {report['rate']['bpp']:.3g} bpp, ", end="")
        print(", ".join(f"{k} {v:.4g}" for k, v in quality.items()))
        print(f"{self.out / 'reconstruction.mp4'}, {self.out / 'report.html'}")


@dataclasses.dataclass(frozen=True)
class Encode:
    """Turn a clip into a stream file.

    Example: semjax encode clip.mp4 --out clip.smj --bitrate 4000
    """

    input: Annotated[Positional[Path | None], tyro.conf.arg(metavar="[INPUT]")] = None
    """Video file or folder of numbered pictures; without it the bundled sample."""
    sender: tyro.conf.OmitArgPrefixes[_Sender] = _Sender()
    terms: tyro.conf.OmitArgPrefixes[_Terms] = _Terms()
    out: Path = Path("out.smj")
    """Stream file to write."""

    def run(self) -> None:
        """Do it and print where the bytes went."""
        from semjax import jobs

        inputs = jobs.Inputs(self.input, self.sender.labels, self.sender.captions)
        jobs.encode(inputs, self.sender.config(), self.out, self.terms.read())
        print(_table(jobs.summary(self.out)["bytes"]))


@dataclasses.dataclass(frozen=True)
class Decode:
    """Paint the clip of a stream file.

    Example: semjax decode clip.smj --out clip.mp4
    """

    input: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE.smj")]
    """Stream file."""
    receiver: tyro.conf.OmitArgPrefixes[_Receiver] = _Receiver()
    terms: tyro.conf.OmitArgPrefixes[_Terms] = _Terms()
    steps: int | None = None
    """Denoising steps of a diffusion generator; none has no use for it."""
    allow_truncated: bool = False
    """Paint what is there of a stream whose end is missing."""
    out: Path = Path("out.mp4")
    """Video to write: mp4, webm, avi, gif, or a folder for PNGs."""

    def run(self) -> None:
        """Do it."""
        from semjax import jobs

        jobs.decode(
            self.input,
            self.receiver.generator,
            self.receiver.seed,
            self.out,
            self.allow_truncated,
            self.steps,
            self.terms.read(),
        )
        print(self.out)


@dataclasses.dataclass(frozen=True)
class Prune:
    """Drop packets of a stream file until it meets a rate, as a node on the way would, without decoding anything.

    Example: semjax prune clip.smj --bitrate 2000 --out small.smj
    """

    input: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE.smj")]
    """Stream file, sealed or not."""
    bitrate: float | None = None
    """Bits a second that may pass."""
    packet: int | None = None
    """Bytes of the largest packet that may pass, its header included."""
    policy: tuple[Path, ...] = ()
    """JSON files with policies of the network (docs/policies.md)."""
    out: Path = Path("pruned.smj")
    """Stream file to write."""

    def run(self) -> None:
        """Do it and say how much is left."""
        from semjax import jobs
        from semjax.systems.policies import NetworkPolicy

        terms = jobs.Terms.read(self.policy)
        asked = NetworkPolicy(bitrate=self.bitrate, packet=self.packet)
        terms = dataclasses.replace(terms, network=terms.network | asked)
        before, after = jobs.prune(self.input, self.out, terms)
        print(f"{before:,} bytes, {after:,} left: {self.out}")


@dataclasses.dataclass(frozen=True)
class Info:
    """Say what a stream file holds, and what it costs on the air.

    Example: semjax info clip.smj --snr 6 --json
    """

    input: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE.smj")]
    """Stream file."""
    snr: float | None = None
    """Price the stream for a radio link of this SNR (Es/N0) in dB."""
    channel: Literal["awgn", "rayleigh"] = "awgn"
    """The radio link that --snr is about."""
    mcs: str = "auto"
    """Its scheme: auto (by layer and SNR), lgvsc (the published table) or one such as 16qam:3/4."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Do it."""
        from semjax import jobs

        link = _Link() if self.snr is None else _Link(self.channel, self.snr, mcs=self.mcs)
        facts = jobs.summary(self.input, link.config())
        if self.json:
            print(json.dumps(facts, indent=2))
            return
        clip = facts["clip"]
        print(
            f"{facts['system']}: {clip['frames']} frames of {clip['width']}x{clip['height']} "
            f"at {clip['fps']:.6g} a second"
        )
        print(_table(facts["bytes"]))
        print(f"{facts['rate']['bits_per_second']:.0f} bit/s, {facts['rate']['bpp']:.3g} bpp")
        print(_link_lines(facts["link"], link.channel))
        for layer, units in facts["layers"].items():
            print(f"{layer}: {units['arrived']} of at most {units['units']} units of {units['span']} frames")
        if facts["partial"] or facts["damaged_bytes"]:
            print(f"partial: packets are missing; {facts['damaged_bytes']} bytes are damaged")


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Compare a reconstruction with its original.

    Example: semjax evaluate clip.mp4 semjax-out/reconstruction.mp4
    """

    original: Positional[Path]
    """The clip that was sent."""
    reconstruction: Positional[Path]
    """The clip that was painted: as many frames, as large."""
    labels: Path | None = None
    """Folder of the original's label maps: quality by region, too."""
    json: Path | None = None
    """Write the numbers to this file as well."""

    def run(self) -> None:
        """Do it."""
        from semjax import jobs

        result = jobs.evaluate(self.original, self.reconstruction, self.labels)
        print(json.dumps(result, indent=2))
        if self.json:
            jobs.write_json(result, self.json)


@dataclasses.dataclass(frozen=True)
class Convert:
    """Turn a PyTorch checkpoint into parameters for JAX.

    Writes OUT/semjax.json and OUT/params, for every network of a pipeline in a folder of its name.
    Example: semjax convert some/diffusers/folder --out params --dtype bfloat16
    """

    source: Positional[str]
    """Folder of a diffusers or transformers model, safetensors file, or hub name."""
    out: Path = Path("params")
    """Folder to write."""
    config: Path | None = None
    """The network's config.json, where it is not beside the weights."""
    variant: str | None = None
    """Which of several sets of weights, as diffusers names them, such as fp16."""
    dtype: str | None = None
    """float32, bfloat16 or float16; without it that of the file."""
    allow_pickle: bool = False
    """Read pickled checkpoints as well, with PyTorch, tensors alone."""

    def run(self) -> None:
        """Do it."""
        from semjax import checkpoints

        done = checkpoints.convert(
            self.source,
            self.out,
            config=self.config,
            variant=self.variant,
            dtype=self.dtype,
            allow_pickle=self.allow_pickle,
        )
        for part, what in done.items():
            print(f"{part}: {what}")
        print(f"written to {self.out}")


def _table(counts: dict[str, int]) -> str:
    return "\n".join(f"{name:>9} {count:>9,} bytes" for name, count in counts.items())


def _link_lines(costs: dict, channel: str) -> str:
    """The ledger of a link in words; networks carry bytes as they are."""
    if costs["symbols"] == 0:
        return f"{costs['coded_bits']:,} bits over the channel {channel}"
    parts = {"source": costs["source_bits"]["total"]}
    for name in ("framing", "crc", "parity", "padding", "repeated"):
        parts[name] = costs[f"{name}_bits"]
    bits = " + ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    symbols = ", ".join(f"{costs[f'{name}_symbols']:,} {name}" for name in ("coded", "filling", "pilot"))
    return (
        f"{channel}: {bits} = {costs['coded_bits']:,} coded bits\n"
        f"{costs['symbols']:,} symbols ({symbols}), CBR {costs['cbr']:.3g}"
    )


COMMANDS = {
    "transmit": Transmit,
    "encode": Encode,
    "decode": Decode,
    "prune": Prune,
    "info": Info,
    "evaluate": Evaluate,
    "convert": Convert,
}


def main() -> None:
    """Entry point of `semjax`: a sentence and exit status 2 for what the user can put right."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    command = tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="semjax", description="Semantic video communication in JAX."
    )
    try:
        command.run()
    except SemjaxError as error:
        print(f"semjax: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
