"""Means over clips with their uncertainty, and paired differences: Markdown and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

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


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high): a mean with its `interval`."""
    return float(np.mean(values)), *interval(values)


def point_of(row: dict) -> tuple[float, float]:
    """(bitrate, SNR) of a run, for sorting and grouping; without an SNR, 0."""
    return row["bitrate"], row.get("snr") or 0.0


def point_name(row: dict) -> str:
    """A run's point in words: the bitrate asked for and the SNR."""
    return f"{row['bitrate']:.0f} bit/s" + ("" if row.get("snr") is None else f" at {row['snr']:g} dB")


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
    """One entry for each point and method: clips, mean bytes and rate, and of every measure mean and interval."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((*point_of(row), row["kind"] == "peer", row["method"]), []).append(row)
    entries = []
    for (bitrate, _, _, method), group in sorted(groups.items()):
        entry = {
            "bitrate": bitrate,
            "snr": group[0].get("snr"),
            "method": method,
            "clips": len({row["clip"] for row in group}),
            "bits_per_second": float(np.mean([row["bits_per_second"] for row in group])),
            "bpp": float(np.mean([row["bpp"] for row in group])),
            "over_budget": len({row["clip"] for row in group if row.get("over_budget")}),
            "cbr": float(np.mean([row["cbr"] for row in group])) if "cbr" in group[0] else None,
            "arrived": float(np.mean([row["arrived"] for row in group])) if "arrived" in group[0] else None,
        }
        for name, *_ in MEASURES:
            values = list(by_clip(group, name).values())
            entry[name] = mean_interval(values) if values else None
        entries.append(entry)
    return entries


def paired(rows: list[dict], method: str) -> list[dict]:
    """`method` minus every other method at each point, over the clips both have: mean, interval, clips won."""
    entries = []
    for point in sorted({point_of(row) for row in rows}):
        here = [row for row in rows if point_of(row) == point]
        own = [row for row in here if row["method"] == method]
        for other in sorted({row["method"] for row in here} - {method}):
            theirs = [row for row in here if row["method"] == other]
            for name, _, _, more in MEASURES:
                a, b = by_clip(own, name), by_clip(theirs, name)
                gains = [a[clip] - b[clip] for clip in sorted(a.keys() & b.keys())]
                if gains:
                    entries.append(
                        {
                            "bitrate": point[0],
                            "snr": here[0].get("snr"),
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
    entries = summary(rows)
    linked = any(e["arrived"] is not None for e in entries)
    measures = [title for _, title, _, _ in MEASURES]
    head = [
        "point",
        "method",
        "clips",
        "bit/s sent",
        "bpp",
        *(["CBR", "arrived"] if linked else []),
        *measures,
    ]
    body = []
    for e in entries:
        sent = f"{e['bits_per_second']:.0f}" + (f" ({e['over_budget']} over)" if e["over_budget"] else "")
        cells = [point_name(e), e["method"], str(e["clips"]), sent, f"{e['bpp']:.6f}"]
        if linked:
            cells += ["" if e["cbr"] is None else f"{e['cbr']:.2e}", f"{100 * e['arrived']:.1f} %"]
        for name, _, decimals, _ in MEASURES:
            cells.append("" if e[name] is None else _with_interval(*e[name], decimals))
        body.append(cells)
    return head, body


def paired_cells(rows: list[dict], method: str) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the table of paired differences."""
    head = ["point", "against", *(title for _, title, _, _ in MEASURES)]
    lines: dict[tuple, dict[str, str]] = {}
    decimals = {name: d for name, _, d, _ in MEASURES}
    for e in paired(rows, method):
        text = _with_interval(e["mean"], *e["interval"], decimals[e["measure"]], sign="+")
        lines.setdefault((point_name(e), e["other"]), {})[e["measure"]] = (
            f"{text}, {e['won']}/{e['clips']} won"
        )
    body = [
        [point, other, *(cells.get(name, "") for name, *_ in MEASURES)]
        for (point, other), cells in lines.items()
    ]
    return head, body


def _with_interval(mean: float, low: float, high: float, decimals: int, sign: str = "") -> str:
    text = f"{mean:{sign}.{decimals}f}"
    return text if np.isnan(low) else f"{text} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"


def markdown(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *body)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def _order(row: dict) -> tuple:
    return row["clip"], *point_of(row), row["kind"] == "peer", row["method"], row["seed"] or 0


def runs_csv(rows: list[dict]) -> str:
    """All runs, a line each, one column a measure."""
    plain = (
        "clip",
        "method",
        "kind",
        "bitrate",
        "snr",
        "seed",
        "bytes",
        "bpp",
        "symbols",
        "cbr",
        "arrived",
        "bits_per_second",
        "ratio_to_raw",
        "seconds",
    )
    names = sorted({name for row in rows for name in row["quality"]})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain, "over_budget", "settings", *names])
    for row in sorted(rows, key=_order):
        settings = " ".join(f"{k}={v}" for k, v in row.get("settings", {}).items())
        cells = [row.get(name) for name in plain] + [row.get("over_budget", ""), settings]
        writer.writerow(cells + [row["quality"].get(name) for name in names])
    return text.getvalue()
