"""Means over clips with their uncertainty, and paired differences: Markdown and CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence

import numpy as np

# Measures of the tables: name, heading, decimals, and whether more is better.
MEASURES = (
    ("psnr", "PSNR dB", 2, True),
    ("ms_ssim", "MS-SSIM", 3, True),
    ("haarpsi", "HaarPSI", 3, True),
    ("gmsd", "GMSD", 3, False),
    ("warping_error", "warping error ×1000", 2, False),
    ("miou", "mIoU", 3, True),
)
RESAMPLES = 10_000


def interval(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over clips or seeds (Efron 1979), from a fixed seed; NaN for one."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(1), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def value(row: dict, measure: str) -> float | None:
    """A run's value of a measure in the table's unit; None where it does not apply."""
    found = row["quality"].get(measure)
    return None if found is None else found * (1000 if measure == "warping_error" else 1)


def by_clip(rows: Iterable[dict], measure: str) -> dict[str, float]:
    """Value by clip, the mean over seeds where there are several."""
    found: dict[str, list[float]] = {}
    for row in rows:
        number = value(row, measure)
        if number is not None:
            found.setdefault(row["clip"], []).append(number)
    return {clip: float(np.mean(values)) for clip, values in found.items()}


def summary(rows: list[dict]) -> list[dict]:
    """One entry for each rate and method: clips, mean bytes and rate, and of every measure mean and interval."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["bitrate"], row["kind"] == "peer", row["method"]), []).append(row)
    entries = []
    for (bitrate, _, method), group in sorted(groups.items()):
        entry = {
            "bitrate": bitrate,
            "method": method,
            "clips": len({row["clip"] for row in group}),
            "bits_per_second": float(np.mean([row["bits_per_second"] for row in group])),
            "bpp": float(np.mean([row["bpp"] for row in group])),
            "over_budget": len({row["clip"] for row in group if row.get("over_budget")}),
        }
        for name, *_ in MEASURES:
            values = list(by_clip(group, name).values())
            entry[name] = (float(np.mean(values)), *interval(values)) if values else None
        entries.append(entry)
    return entries


def paired(rows: list[dict], method: str) -> list[dict]:
    """`method` minus every other method at each rate, over the clips both have: mean, interval, clips won."""
    entries = []
    for bitrate in sorted({row["bitrate"] for row in rows}):
        here = [row for row in rows if row["bitrate"] == bitrate]
        own = [row for row in here if row["method"] == method]
        for other in sorted({row["method"] for row in here} - {method}):
            theirs = [row for row in here if row["method"] == other]
            for name, _, _, more in MEASURES:
                a, b = by_clip(own, name), by_clip(theirs, name)
                gains = [a[clip] - b[clip] for clip in sorted(a.keys() & b.keys())]
                if gains:
                    entries.append(
                        {
                            "bitrate": bitrate,
                            "other": other,
                            "measure": name,
                            "mean": float(np.mean(gains)),
                            "interval": interval(gains),
                            "won": sum((g > 0) == more and g != 0 for g in gains),
                            "clips": len(gains),
                        }
                    )
    return entries


def summary_cells(rows: list[dict]) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the table of means, for Markdown and for the page."""
    head = ["bit/s asked", "method", "clips", "bit/s sent", "bpp", *(title for _, title, _, _ in MEASURES)]
    body = []
    for e in summary(rows):
        sent = f"{e['bits_per_second']:.0f}" + (f" ({e['over_budget']} over)" if e["over_budget"] else "")
        cells = [f"{e['bitrate']:.0f}", e["method"], str(e["clips"]), sent, f"{e['bpp']:.6f}"]
        for name, _, decimals, _ in MEASURES:
            cells.append("" if e[name] is None else _with_interval(*e[name], decimals))
        body.append(cells)
    return head, body


def paired_cells(rows: list[dict], method: str) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the table of paired differences."""
    head = ["bit/s asked", "against", *(title for _, title, _, _ in MEASURES)]
    lines: dict[tuple, dict[str, str]] = {}
    decimals = {name: d for name, _, d, _ in MEASURES}
    for e in paired(rows, method):
        text = _with_interval(e["mean"], *e["interval"], decimals[e["measure"]], sign="+")
        lines.setdefault((e["bitrate"], e["other"]), {})[e["measure"]] = (
            f"{text}, {e['won']}/{e['clips']} won"
        )
    body = [
        [f"{bitrate:.0f}", other, *(cells.get(name, "") for name, *_ in MEASURES)]
        for (bitrate, other), cells in lines.items()
    ]
    return head, body


def _with_interval(mean: float, low: float, high: float, decimals: int, sign: str = "") -> str:
    text = f"{mean:{sign}.{decimals}f}"
    return text if np.isnan(low) else f"{text} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"


def markdown(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *body)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def runs_csv(rows: list[dict], order: Callable[[dict], tuple]) -> str:
    """All runs, a line each, one column a measure."""
    plain = (
        "clip",
        "method",
        "kind",
        "bitrate",
        "seed",
        "bytes",
        "bpp",
        "bits_per_second",
        "ratio_to_raw",
        "seconds",
    )
    names = sorted({name for row in rows for name in row["quality"]})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain, "over_budget", "settings", *names])
    for row in sorted(rows, key=order):
        settings = " ".join(f"{k}={v}" for k, v in row.get("settings", {}).items())
        cells = [row.get(name) for name in plain] + [row.get("over_budget", ""), settings]
        writer.writerow(cells + [row["quality"].get(name) for name in names])
    return text.getvalue()
