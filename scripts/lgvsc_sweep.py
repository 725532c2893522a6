"""LGVSC over AWGN, in the paper's units: quality over SNR at one channel bandwidth ratio (docs/lgvsc.md).

    python scripts/lgvsc_sweep.py CLIP ... --cbr 1e-3 --snrs 0 2 4 6 8 10 --seeds 4 --json rows.json

Each CLIP is a folder with video.mp4 or frames/, perhaps labels/. Three systems may each spend --cbr symbols / (CHWT),
both ends know the SNR: SKEM+DSA and SKIM+SFA (semjax, world model without weights) and H.265+LDPC (x265 through the
same link, of all its picture sizes and qualities the one of best PSNR that fits).
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import link_sweep
import numpy as np
from evaluation.tables import mean_interval

from semjax import metrics, stream
from semjax.channel import LinkConfig
from semjax.errors import RateError
from semjax.systems import lgvsc, link, sources

SYSTEMS = {"SKEM+DSA": "skem", "SKIM+SFA": "skim"}
PEER = "H.265+LDPC"
MEASURES = {**link_sweep.MEASURES, "ssim": metrics.ssim}
ROUNDS = 5


class Ours(link_sweep.Ours):
    """One of LGVSC's two operating points."""

    def __init__(self, clip: link_sweep.Clip, selection: str):
        self.clip, self.painted = clip, {}
        source = sources.frames_from_array(clip.frames, clip.fps)
        maps = None if clip.labels is None else sources.labels_from_array(clip.labels, clip.info)
        cfg = lgvsc.SenderConfig(selection=selection)
        self.code = lgvsc.coder(source, lgvsc.understand(source, maps, None, cfg), cfg)

    def choose(self, cfg: LinkConfig, room: int) -> bytes | None:
        """The largest stream found within `room` symbols."""
        bits, best = 0.85 * room * cfg.scheme(0, 4096).efficiency, None
        for _ in range(ROUNDS):
            try:
                data = stream.pack(self.code(bits / self.clip.info.seconds))
            except RateError:
                return best
            symbols = link.price(data, cfg).symbols
            if symbols <= room:
                best = max(best or b"", data, key=len)
                if symbols > 0.94 * room:
                    break
            bits *= 0.98 * room / symbols
        return best


def sweep(clip: link_sweep.Clip, cbr: float, snrs, seeds: int) -> Iterator[dict]:
    """Rows as they are done, one for each system and SNR: mean and interval over seeds of every figure."""
    room = clip.room(cbr)
    for name in (*SYSTEMS, PEER):
        system = (
            Ours(clip, SYSTEMS[name])
            if name in SYSTEMS
            else link_sweep.Peer(clip, "x265", most=room * 5 // 8)
        )
        for snr in snrs:
            cfg = LinkConfig("awgn", snr_db=snr, protection=link_sweep.NARROW)
            choice = system.choose(cfg, room)
            row = {"clip": clip.name, "system": name, "snr": snr, "bytes": 0, "cbr": 0.0}
            if choice is not None:
                runs = [system.run(choice, cfg, seed) for seed in range(seeds)]
                row |= {key: mean_interval([run[key] for run in runs]) for key in runs[0]}
                row["bytes"] = system.cost(choice, cfg)[0]
                row["cbr"] = row["symbols"][0] / clip.frames.size
            yield row


def table(rows: list[dict], key: str, digits: int) -> str:
    """Markdown: a line for each SNR, a column for each system; means over clips, and in how many clips it fits."""
    names = list(dict.fromkeys(row["system"] for row in rows))
    out = ["| SNR dB | " + " | ".join(names) + " |", "|--:|" + "--:|" * len(names)]
    for snr in sorted({row["snr"] for row in rows}):
        cells = []
        for name in names:
            mine = [r for r in rows if (r["snr"], r["system"]) == (snr, name)]
            fits = [r[key][0] if isinstance(r[key], tuple | list) else r[key] for r in mine if r["bytes"]]
            note = "" if len(fits) == len(mine) else f" ({len(fits)} of {len(mine)} clips)"
            value = f"{np.mean(fits):.{digits}{'e' if key == 'cbr' else 'f'}}" if fits else "does not fit"
            cells.append(value + (note if fits else ""))
        out.append(f"| {snr:g} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def main() -> None:
    """Sweep, print tables, keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--cbr", type=float, default=1e-3)
    parser.add_argument("--snrs", type=float, nargs="+", default=[0, 2, 4, 6, 8, 10])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for folder in args.clips:
        clip = dataclasses.replace(link_sweep.Clip.read(folder, args.frames), measures=MEASURES)
        for row in sweep(clip, args.cbr, args.snrs, args.seeds):
            rows.append(row)
            print(
                {k: v for k, v in row.items() if k in ("clip", "system", "snr", "bytes", "cbr", "psnr")},
                flush=True,
            )
            if args.json:
                args.json.write_text(json.dumps(rows, indent=1))
    for key, digits in (("cbr", 2), ("psnr", 2), ("ssim", 3), ("ms_ssim", 3), ("bytes", 0)):
        print(f"\n{key}\n\n{table(rows, key, digits)}")


if __name__ == "__main__":
    main()
