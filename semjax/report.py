"""One self-contained HTML page for a run: what went in, what came out, what it cost and when."""

import base64
import html
import importlib.resources
import io
import json
import string
from pathlib import Path

import numpy as np
from PIL import Image

from semjax import painting, video
from semjax.stream import PACKET_OVERHEAD, Stream
from semjax.types import LAYERS, ClipInfo, FrameStatus

COLOURS = {
    "caption": "#c2762b",
    "contour": "#2f7fb8",
    "texture": "#4d9a57",
    "keyframe": "#8a5fb0",
    "container": "#8b9096",
}
PREVIEW_SECONDS, PREVIEW_WIDTH = 30, 512
_STILLS = (0.15, 0.5, 0.85)  # where in the clip label maps and contours are shown
_LOST = "#d1433b"
_BITS = {
    "framing": "frame headers of the link",
    "crc": "checks",
    "parity": "parity (LDPC)",
    "padding": "padding",
    "repeated": "sent again",
}
_COLUMNS, _CHART_WIDTH = 120, 720  # most columns of the bytes chart; units of its width


class Preview:
    """Collects what the page shows while a clip is being painted: two small videos and a few frames."""

    def __init__(self, info: ClipInfo, folder: Path):
        self.info, self.folder = info, folder
        scale = min(1.0, PREVIEW_WIDTH / info.width)
        # Even sizes, because H.264 plays everywhere and has no others.
        self.size = tuple(max(2, 2 * round(side * scale / 2)) for side in (info.width, info.height))
        self.limit = max(1, int(PREVIEW_SECONDS * info.fps))
        self.writers = {}
        for name in ("original", "reconstruction"):
            path = folder / f".preview-{name}.mp4"
            self.writers[name] = video.VideoWriter(path, info.fps, *self.size, quality=58)
        self.wanted = sorted({int(share * (info.frames - 1)) for share in _STILLS})
        self.stills: list[tuple[int, bytes]] = []
        self.counts = {"contour": np.zeros(3, int), "texture": np.zeros(3, int)}
        self.squares: list[float] = []

    def add(self, original: np.ndarray, part, labels: np.ndarray) -> None:
        """Take in the next frames: the originals, what was painted, and the label maps that were sent."""
        first, n, given = part.conditions.first, len(original), part.conditions
        for layer, status in (("contour", given.contour_status), ("texture", given.texture_status)):
            self.counts[layer] += np.bincount(status, minlength=3)
        self.squares += np.mean((part.frames.astype(np.float32) - original) ** 2, axis=(1, 2, 3)).tolist()
        shown = max(0, min(n, self.limit - first))
        for i in range(shown):
            self.writers["original"].write(self._small(original[i]))
            self.writers["reconstruction"].write(self._small(part.frames[i]))
        for number in self.wanted:
            if first <= number < first + n:
                i = number - first
                self.stills.append((number, _still(original[i], labels[i], given.labels[i], part.frames[i])))

    def _small(self, frame: np.ndarray) -> np.ndarray:
        if frame.shape[1::-1] == self.size:
            return frame
        return np.asarray(Image.fromarray(frame).resize(self.size, Image.Resampling.BOX))

    def frame_counts(self) -> dict[str, dict[str, int]]:
        """For the two layers that describe every frame: how many frames were received, concealed, missing."""
        names = [status.name.lower() for status in FrameStatus]
        return {layer: dict(zip(names, counts.tolist())) for layer, counts in self.counts.items()}

    def videos(self) -> dict[str, str]:
        """The two small videos as data addresses; the files behind them are removed."""
        out = {}
        for name, writer in self.writers.items():
            writer.close()
            path = self.folder / f".preview-{name}.mp4"
            out[name] = _data_address(path.read_bytes(), "video/mp4")
            path.unlink()
        return out


def render(report: dict, sent: Stream, received: Stream, preview: Preview) -> str:
    """The page of a run as HTML text. `report` is the content of report.json."""
    template = (importlib.resources.files("semjax.assets") / "report.html").read_text("utf-8")
    videos = preview.videos()
    clip, rate, quality = report["clip"], report["rate"], report["quality"]
    headline = (
        f"{clip['frames']} frames, {clip['width']}×{clip['height']} at {clip['fps']:.4g} a second, "
        f"in {report['bytes']['total']:,} bytes"
    )
    facts = [
        ("Rate", f"{rate['bits_per_second'] / 1000:.2f} kbit/s"),
        ("Bits per pixel", f"{rate['bpp']:.2g}"),
        ("Less than raw", f"{rate['ratio_to_raw']:,.0f} times"),
        ("PSNR", "identical" if quality["psnr"] is None else f"{quality['psnr']:.2f} dB"),
        ("MS-SSIM", f"{quality['ms_ssim']:.3f}"),
        ("mIoU of labels", "–" if quality["miou"] is None else f"{quality['miou']:.3f}"),
    ]
    if rate["symbols"]:
        facts.insert(3, ("CBR", f"{rate['cbr']:.2e}"))
    return string.Template(template).substitute(
        title=html.escape(f"semjax {report['system']}: {headline}"),
        headline=html.escape(headline),
        system=html.escape(report["system"]),
        original=videos["original"],
        reconstruction=videos["reconstruction"],
        shortened=f"The first {PREVIEW_SECONDS} seconds." if clip["frames"] > preview.limit else "",
        captions=_captions(report["captions"]),
        facts="".join(f"<div><dt>{k}</dt><dd>{html.escape(v)}</dd></div>" for k, v in facts),
        bytes_table=_bytes_table(report),
        chart=_bytes_chart(sent),
        legend=_legend(),
        quality_chart=_quality_chart(preview.squares, clip["fps"]),
        arrival=_arrival(report, sent, received),
        link=_link_section(report),
        stills="".join(_figure(number, data) for number, data in preview.stills),
        numbers=html.escape(json.dumps(report, indent=2)),
        command=html.escape(report["command"]),
    )


def _data_address(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _still(original, labels, decoded, painted) -> bytes:
    """WebP of four pictures in a row: frame with the sent contours, label map, decoded map, painted frame."""
    outlined = original.copy()
    outlined[_outline(decoded)] = (255, 214, 10)
    pictures = [outlined, painting.PALETTE[labels % len(painting.PALETTE)]]
    pictures += [painting.PALETTE[decoded % len(painting.PALETTE)], painted]
    height, width = labels.shape
    scale = min(1.0, 480 / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in pictures]
    out = io.BytesIO()
    grid = np.concatenate([np.concatenate(small[:2], 1), np.concatenate(small[2:], 1)], 0)
    Image.fromarray(grid).save(out, "WEBP", quality=82)
    return out.getvalue()


def _outline(labels: np.ndarray) -> np.ndarray:
    """Where a pixel's right or lower neighbour has another label, and one pixel around it, bool [H, W]."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    wide = edge.copy()
    wide[:, 1:] |= edge[:, :-1]
    wide[1:] |= edge[:-1]
    return wide


def _figure(number: int, data: bytes) -> str:
    label = f"Frame {number}: decoded contours over the original, label map sent, label map decoded, painted frame"
    picture = f'<img src="{_data_address(data, "image/webp")}" alt="{label}">'
    return f"<figure>{picture}<figcaption>{label}.</figcaption></figure>"


def _captions(captions: list[dict]) -> str:
    rows = [f"<li><b>{c['first']}–{c['last']}</b> {html.escape(c['text'])}</li>" for c in captions]
    return f"<ul class=captions>{''.join(rows)}</ul>" if rows else "<p>No caption was sent.</p>"


def _bytes_table(report: dict) -> str:
    counts, seconds = report["bytes"], report["clip"]["frames"] / report["clip"]["fps"]
    rows = []
    for name in (*LAYERS, "container"):
        share = counts[name] / counts["total"]
        rows.append(
            f"<tr><td><i style='background:{COLOURS[name]}'></i>{name}</td><td>{counts[name]:,}</td>"
            f"<td>{8 * counts[name] / seconds:,.0f}</td><td>{share:.0%}</td></tr>"
        )
    rows.append(
        f"<tr class=sum><td>total</td><td>{counts['total']:,}</td>"
        f"<td>{8 * counts['total'] / seconds:,.0f}</td><td></td></tr>"
    )
    return "".join(rows)


def _legend() -> str:
    return "".join(f"<span><i style='background:{c}'></i>{n}</span>" for n, c in COLOURS.items())


def _bytes_chart(stream: Stream) -> str:
    """Stacked bars: bits a second by layer, each unit's bytes spread over the frames it describes."""
    frames, names = stream.info.frames, list(COLOURS)
    per_frame = np.zeros((len(names), frames))
    for layer, units in stream.units.items():
        span = stream.spans[layer]
        for unit, payload in units.items():
            covered = slice(unit * span, min((unit + 1) * span, frames))
            count = covered.stop - covered.start
            per_frame[names.index(layer), covered] += len(payload) / count
            per_frame[names.index("container"), covered] += PACKET_OVERHEAD / count
    columns = np.array_split(np.arange(frames), min(_COLUMNS, frames))
    table = np.stack([8 * float(stream.info.fps) * per_frame[:, c].mean(1) for c in columns], 1)
    top = max(table.sum(0).max(), 1)
    height, bars = 170, []
    pitch = _CHART_WIDTH / len(columns)
    for column in range(len(columns)):
        y = height
        for row, name in enumerate(names):
            if table[row, column]:
                size = table[row, column] / top * height
                y -= size
                bars.append(
                    f"<rect x='{column * pitch:.1f}' y='{y:.1f}' width='{pitch - 1:.1f}' height='{size:.1f}' "
                    f"fill='{COLOURS[name]}'><title>{name}: {table[row, column]:.0f} bit/s</title></rect>"
                )
    return _chart(
        "".join(bars), height, f"{top / 1000:.2g} kbit/s", "0", stream.info.seconds, "Bits by layer"
    )


def _quality_chart(squares: list[float], fps: float) -> str:
    """A line: PSNR of every frame over time."""
    psnr = 10 * np.log10(255**2 / np.maximum(squares, 1e-2))
    low, high = np.floor(psnr.min()), np.ceil(psnr.max() + 1e-9)
    height = 110
    x = np.linspace(0, _CHART_WIDTH, len(psnr)) if len(psnr) > 1 else np.array([_CHART_WIDTH / 2])
    y = height - (psnr - low) / max(high - low, 1) * height
    line = f"<polyline points='{' '.join(f'{a:.1f},{b:.1f}' for a, b in zip(x, y))}' />"
    return _chart(line, height, f"{high:.0f} dB", f"{low:.0f} dB", len(squares) / fps, "PSNR of every frame")


def _chart(marks: str, height: int, top: str, bottom: str, seconds: float, label: str) -> str:
    """An SVG with its scale at the corners, so that it reads at any width."""
    return (
        f"<div class=scale>{top}</div>"
        f"<svg viewBox='0 -4 {_CHART_WIDTH} {height + 6}' preserveAspectRatio=none role=img "
        f"aria-label='{label} over time'><line x1=0 x2={_CHART_WIDTH} y1={height} y2={height} />{marks}</svg>"
        f"<div class=scale><span>{bottom}</span><span>{seconds:.1f} s</span></div>"
    )


def _arrival(report: dict, sent: Stream, received: Stream) -> str:
    link, counts = report["channel"], report["received"]
    if link["channel"] == "none":
        return "<p>Nothing was lost: the channel was <code>none</code>.</p>"
    rows = "".join(
        f"<tr><td>{layer}</td><td>{c['received']}</td><td>{c['concealed']}</td><td>{c['missing']}</td></tr>"
        for layer, c in counts.items()
    )
    return (
        f"<p>{link['packets_lost']} of {link['packets']} packets were lost.</p><div class=scroll><table>"
        f"<tr><th>frames of layer<th>received<th>concealed<th>missing</tr>{rows}</table></div>"
        f"{_timeline(sent, received)}{_lost_packets(report['lost'])}"
    )


def _timeline(sent: Stream, received: Stream) -> str:
    """One row a layer: units that arrived in the layer's colour, lost ones in red."""
    rows, frames = [], sent.info.frames
    for layer in (name for name in LAYERS if sent.units.get(name)):
        span, bars = sent.spans[layer], []
        for unit in sent.units[layer]:
            x = unit * span / frames * _CHART_WIDTH
            width = min(span / frames * _CHART_WIDTH, _CHART_WIDTH - x)
            fill = COLOURS[layer] if unit in received.units.get(layer, {}) else _LOST
            bars.append(f"<rect x='{x:.1f}' y=0 width='{max(width - 1, 0.5):.1f}' height=16 fill='{fill}' />")
        rows.append(
            f"<div class=scale>{layer}</div><svg viewBox='0 0 {_CHART_WIDTH} 16' preserveAspectRatio=none "
            f"class=strip role=img aria-label='{layer}: units received and lost'>{''.join(bars)}</svg>"
        )
    return f"<div class=scale>What was lost when (red), by layer</div>{''.join(rows)}"


def _lost_packets(lost: list[dict]) -> str:
    """A folded list of the packets that did not arrive."""
    if not lost:
        return ""
    rows = "".join(
        f"<tr><td>{p['layer']}</td><td>{p['unit']}</td><td>{p['part']}</td>"
        f"<td>{p['first']}–{p['last']}</td><td>{p['size']}</td></tr>"
        for p in lost
    )
    return (
        f"<details><summary>The {len(lost)} lost packets</summary><div class=scroll><table>"
        f"<tr><th>layer<th>unit<th>part<th>frames<th>bytes</tr>{rows}</table></div></details>"
    )


def _link_section(report: dict) -> str:
    """What crossing cost; empty for a channel that carries bytes as they are."""
    link, costs = report["channel"], report["link"]
    if not costs["symbols"]:
        return ""
    rows = [(layer, costs["source_bits"][layer]) for layer in (*LAYERS, "container")]
    rows += [(words, costs[f"{name}_bits"]) for name, words in _BITS.items() if costs[f"{name}_bits"]]
    total = costs["coded_bits"]
    table = "".join(f"<tr><td>{name}</td><td>{n:,}</td><td>{n / total:.1%}</td></tr>" for name, n in rows)
    table += f"<tr class=sum><td>coded bits</td><td>{total:,}</td><td></td></tr>"
    symbols = [("carrying coded bits", "coded"), ("up to the grid of frames", "filling"), ("pilots", "pilot")]
    air = "".join(f"<tr><td>{words}</td><td>{costs[f'{n}_symbols']:,}</td></tr>" for words, n in symbols)
    air += f"<tr class=sum><td>symbols</td><td>{costs['symbols']:,}</td></tr>"
    schemes = "".join(
        f"<tr><td>{layer}</td><td>{html.escape(', '.join(used))}</td></tr>"
        for layer, used in link["schemes"].items()
        if used
    )
    words = (
        f"Channel <code>{link['channel']}</code> at {link['snr_db']:g} dB, schemes for {link['design_snr_db']:.3g} dB: "
        f"{costs['symbols']:,} symbols, {costs['cbr']:.3g} for each sample of the clip (CBR); coded "
        f"{costs['bits_per_second'] / 1000:.2f} kbit/s, {costs['bpp']:.2g} bits a pixel, "
        f"{costs['ratio_to_raw']:,.0f} times less than raw."
    )
    return (
        f"<h2>What crossing the link cost</h2><div class=card><p>{words}</p><div class=scroll>"
        f"<table><tr><th>bits of<th>bits<th>share</tr>{table}</table></div><div class=scroll>"
        f"<table><tr><th>symbols<th>count</tr>{air}</table></div><div class=scroll>"
        f"<table class=words><tr><th>layer<th>modulation and code rate</tr>{schemes}</table></div></div>"
    )
