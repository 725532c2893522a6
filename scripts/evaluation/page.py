"""The results of an evaluation as one self-contained HTML page."""

import base64
import html
import io
from pathlib import Path

import numpy as np

from evaluation.tables import MEASURES, paired_cells, summary, summary_cells

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


def render(
    rows: list[dict], errors: list[dict], originals: dict[str, str], out: Path, command: str, method: str
) -> str:
    """The page: tables, rate curves, contact sheets at the middle rate, failures. `method` is the one compared."""
    clips, rates = sorted({r["clip"] for r in rows}), sorted({r["bitrate"] for r in rows})
    parts = [
        "<h1>Semantic video communication, measured</h1>",
        f"<p class=soft>{len(clips)} clips at {', '.join(f'{r:.0f}' for r in rates)} bit/s. Means over clips with "
        "95&nbsp;% bootstrap intervals. Peers get as many bytes as the semjax stream of the same clip and rate took, "
        "choose their own picture size and frame rate, and are charged for no container.</p>",
        "<h2>Means</h2>",
        _table(*summary_cells(rows)),
        f"<h2>{html.escape(method)} minus each other method, clip by clip</h2>",
        _table(*paired_cells(rows, method)),
        "<h2>Quality against rate</h2>",
        '<div class="charts">' + "".join(f"<figure>{svg}</figure>" for svg in curves(rows)) + "</div>",
        "<h2>Pictures</h2>",
        *_sheets(rows, originals, out, rates[len(rates) // 2]),
    ]
    if errors:
        parts.append("<h2>What failed</h2><ul>")
        parts += [f"<li>{html.escape(e['clip'])}, {html.escape(e['method'])}, {e['bitrate']:.0f} bit/s: "
                  f"{html.escape(e['error'])}</li>" for e in errors]  # fmt: skip
        parts.append("</ul>")
    parts.append(f"<h2>Made by</h2><pre>{html.escape(command)}</pre>")
    return PAGE.format(style=STYLE, body="\n".join(parts))


def _table(head: list[str], body: list[list[str]]) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>" for cells in body)
    top = "".join(f"<th>{html.escape(c)}</th>" for c in head)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'


def curves(rows: list[dict]) -> list[str]:
    """One SVG for each measure: mean over clips against mean bits a second, bands for the interval."""
    from matplotlib.figure import Figure

    entries, figures = summary(rows), []
    methods = list(dict.fromkeys(e["method"] for e in entries))
    for name, title, _, more in MEASURES:
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, method in enumerate(methods):
            points = [e for e in entries if e["method"] == method and e[name] is not None]
            if not points:
                continue
            rate = [e["bits_per_second"] for e in points]
            mean, low, high = np.array([e[name] for e in points]).T
            axes.plot(rate, mean, marker="o", markersize=4, color=f"C{number}", label=method)
            axes.fill_between(rate, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
        axes.set(xscale="log", xlabel="bit/s", title=f"{title} ({'higher' if more else 'lower'} is better)")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        figures.append(text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2])
    return figures


def _sheets(rows: list[dict], originals: dict[str, str], out: Path, bitrate: float) -> list[str]:
    parts = []
    for clip, sheet in sorted(originals.items()):
        parts.append(f'<h3>{html.escape(clip)}</h3><div class="sheet">')
        parts.append(f"<span>original</span>{_image(out / sheet, clip)}")
        here = [r for r in rows if r["clip"] == clip and r["bitrate"] == bitrate]
        for row in sorted(here, key=lambda r: (r["kind"] == "peer", r["method"])):
            cost = f"{row['bytes']} bytes, {row['bits_per_second']:.0f} bit/s"
            words = f"{html.escape(row['method'])}<br><span class=soft>{cost}</span>"
            parts.append(f"<span>{words}</span>{_image(out / row['sheet'], row['method'])}")
        parts.append("</div>")
    return parts


def _image(file: Path, text: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{html.escape(text)}" loading="lazy" src="data:image/webp;base64,{data}">'
