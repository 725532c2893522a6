"""The results of an evaluation as one self-contained HTML page."""

import base64
import html
import io
from pathlib import Path

import numpy as np

from evaluation.tables import MEASURES, paired_cells, point_name, point_of, summary, summary_cells

STYLE = """
:root { --ink: #1d2126; --soft: #5c646d; --paper: #fbfaf8; --card: #fff; --line: #e2dfd9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e2; --soft: #a2a8ae; --paper: #16181b; --card: #1f2226; --line: #34383d; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: clamp(1.35rem, 4vw, 2rem); margin: 0 0 4px; }
h2 { font-size: 1.1rem; margin: 36px 0 10px; }
h3 { font-size: 1rem; margin: 26px 0 6px; }
p, li { max-width: 72ch; }
.soft, figcaption { color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:nth-child(2), td:nth-child(2) { text-align: left; }
th { font-weight: 500; color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(330px, 100%), 1fr)); gap: 14px; }
.charts figure { background: #fff; border: 1px solid var(--line); border-radius: 8px; margin: 0; padding: 6px; }
.charts svg { width: 100%; height: auto; display: block; }
.sheet { display: grid; grid-template-columns: minmax(9em, max-content) 1fr; gap: 4px 12px; align-items: center; }
.sheet img { width: 100%; display: block; border-radius: 4px; }
@media (max-width: 640px) { .sheet { grid-template-columns: 1fr; } main { padding: 20px 14px 48px; } }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .84rem; }
"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>semjax: evaluation</title><style>{style}</style></head><body><main>
{body}
</main></body></html>
"""


_FAIR = (
    "Peers get as many bytes as the semjax stream of the same clip and rate took, choose their own picture size and "
    "frame rate, and are charged for no container."
)
_LINKED = (
    "Everything went over the same channel with the same codes, modulation and packets; peers get as many symbols "
    "(over a lossy network, bytes) as the semjax stream took and choose their own picture size. The pictures are of "
    "the first seed."
)


def render(
    rows: list[dict], errors: list[dict], originals: dict[str, str], out: Path, command: str, method: str
) -> str:
    """The page: tables, curves, contact sheets at the middle point, failures. `method` is the one compared."""
    clips, points = sorted({r["clip"] for r in rows}), sorted({point_of(r) for r in rows})
    linked = "arrived" in rows[0]
    names = {point_of(r): point_name(r) for r in rows}
    parts = [
        "<h1>Semantic video communication, measured</h1>",
        f"<p class=soft>{len(clips)} clips at {', '.join(names[p] for p in points)}. Means over clips with "
        f"95&nbsp;% bootstrap intervals. {_LINKED if linked else _FAIR}</p>",
        "<h2>Means</h2>",
        _table(*summary_cells(rows)),
        f"<h2>{html.escape(method)} minus each other method, clip by clip</h2>",
        _table(*paired_cells(rows, method)),
        f"<h2>Quality against {'SNR' if _over_snr(rows) else 'rate'}</h2>",
        '<div class="charts">' + "".join(f"<figure>{svg}</figure>" for svg in curves(rows)) + "</div>",
        "<h2>Pictures</h2>",
        *_sheets(rows, originals, out, points[len(points) // 2]),
    ]
    if errors:
        parts.append("<h2>What failed</h2><ul>")
        parts += [f"<li>{html.escape(e['clip'])}, {html.escape(e['method'])}, {point_name(e)}: "
                  f"{html.escape(e['error'])}</li>" for e in errors]  # fmt: skip
        parts.append("</ul>")
    parts.append(f"<h2>Made by</h2><pre>{html.escape(command)}</pre>")
    return PAGE.format(style=STYLE, body="\n".join(parts))


def _table(head: list[str], body: list[list[str]]) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>" for cells in body)
    top = "".join(f"<th>{html.escape(c)}</th>" for c in head)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'


def _over_snr(rows: list[dict]) -> bool:
    return len({row.get("snr") for row in rows}) > 1


def curves(rows: list[dict]) -> list[str]:
    """One SVG for each measure: mean over clips against mean bits a second, bands for the interval.

    Against the SNR, at the middle bitrate, where there are several.
    """
    from matplotlib.figure import Figure

    entries, figures, axis = summary(rows), [], "bits_per_second"
    if _over_snr(rows):
        rates = sorted({e["bitrate"] for e in entries})
        entries, axis = [e for e in entries if e["bitrate"] == rates[len(rates) // 2]], "snr"
    methods = list(dict.fromkeys(e["method"] for e in entries))
    for name, title, _, more in MEASURES:
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, method in enumerate(methods):
            points = [e for e in entries if e["method"] == method and e[name] is not None]
            if not points:
                continue
            rate = [e[axis] for e in points]
            mean, low, high = np.array([e[name] for e in points]).T
            axes.plot(rate, mean, marker="o", markersize=4, color=f"C{number}", label=method)
            axes.fill_between(rate, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
        scale, label = ("log", "bit/s") if axis == "bits_per_second" else ("linear", "SNR in dB")
        axes.set(xscale=scale, xlabel=label, title=f"{title} ({'higher' if more else 'lower'} is better)")
        if scale == "log":  # one tick for each rate asked for: those of the scale would run into each other
            asked = sorted({e["bitrate"] for e in entries})
            axes.set_xticks(asked, [f"{rate:.0f}" for rate in asked])
            axes.minorticks_off()
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        figures.append(text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2])
    return figures


def _sheets(rows: list[dict], originals: dict[str, str], out: Path, point: tuple[float, float]) -> list[str]:
    parts = []
    for clip, sheet in sorted(originals.items()):
        parts.append(f'<h3>{html.escape(clip)}</h3><div class="sheet">')
        parts.append(f"<span>original</span>{_image(out / sheet, clip)}")
        here = [r for r in rows if r["clip"] == clip and point_of(r) == point]
        first = {(r["kind"] == "peer", r["method"]): r for r in sorted(here, key=lambda r: -(r["seed"] or 0))}
        for _, row in sorted(first.items()):
            cost = f"{row['bytes']} bytes, {row['bits_per_second']:.0f} bit/s"
            cost += f", {100 * row['arrived']:.0f} % arrived" if "arrived" in row else ""
            words = f"{html.escape(row['method'])}<br><span class=soft>{cost}</span>"
            parts.append(f"<span>{words}</span>{_image(out / row['sheet'], row['method'])}")
        parts.append("</div>")
    return parts


def _image(file: Path, text: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{html.escape(text)}" loading="lazy" src="data:image/webp;base64,{data}">'
