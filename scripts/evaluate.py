"""Compare semjax's systems with video codecs on folders of clips, at equal cost, with uncertainty.

    python scripts/evaluate.py CLIPS... --bitrates 2000 4000 8000 --out eval-out
    python scripts/evaluate.py CLIPS... --bitrates 4000 --channel awgn --snr 0 5 10 --seeds 0 1 2 3 4

A clip is a video file, a folder of numbered PNGs, or a folder with `video.mp4` or `frames/` and perhaps `labels/`;
CLIPS may be folders of such. Every system runs at every rate; every peer (x264, x265, svtav1, vp9) then gets as many
bytes as the largest system stream of that clip and rate took, and picks its own picture size and frame rate.

With --channel everything is sent over that channel with every seed, at every SNR: LDPC codes and QAM for both, packets
lost alike; x264 and x265 then get as many symbols as the largest system stream took (bytes over a lossy network).

Runs are kept in OUT/runs.jsonl as they end, and what is there is not run again: start the same command anew after a
kill, or with more clips or rates. OUT/index.html, tables.md and runs.csv are written at the end. The plots need
`pip install "semjax[docs]"`.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from evaluation import page, runs, tables
from evaluation.clips import ClipPaths, find_clips
from evaluation.peers import PEERS

from semjax._progress import progress
from semjax.errors import InputError, SemjaxError
from semjax.systems.generators import suited

RADIO = ("awgn", "rayleigh", "rician")
OVER_LINKS = ("x264", "x265")  # the others' decoders stop at the first missing frame


@dataclasses.dataclass(frozen=True)
class Args:
    """What to compare.

    bitrates are bits a second, before the channel; seeds are those of the systems and of the channel; snr is Es/N0 in
    dB, for the radio channels, loss the share of packets lost, for the channel "loss"; generator is none, tiny, a
    folder of weights, or auto, what each system paints with by default; frames limits every clip; found_labels ignores
    given label maps; jobs is the number of processes.
    """

    clips: tyro.conf.Positional[tuple[Path, ...]]
    systems: tuple[str, ...] = ("causal",)
    peers: Annotated[tuple[str, ...] | None, tyro.conf.arg(help="any of " + ", ".join(PEERS))] = None
    bitrates: tuple[float, ...] = (2000.0, 4000.0, 8000.0)
    channel: Literal["none", "awgn", "rayleigh", "rician", "loss"] = "none"
    snr: tuple[float, ...] = (0.0, 5.0, 10.0)
    loss: float = 0.1
    generator: str = "none"
    seeds: tuple[int, ...] = (0,)
    frames: int | None = None
    found_labels: bool = False
    jobs: int = 1
    out: Path = Path("eval-out")

    def __post_init__(self):
        _known("system", self.systems, runs.SYSTEMS)
        _known("peer" if self.channel == "none" else "peer over a channel", self.rivals, self._able)
        if not self.clips:
            raise InputError("give at least one clip or folder of clips")
        if not self.bitrates or min(self.bitrates) <= 0:
            raise InputError(f"bitrates are positive numbers of bits a second, not {self.bitrates}")
        if not self.systems or not self.seeds:
            raise InputError(
                "at least one system and one seed are needed: peers get the bytes that a system took"
            )
        if self.channel in RADIO and not self.snr:
            raise InputError(f"--channel {self.channel} needs at least one --snr in dB")
        if self.jobs < 1 or (self.frames is not None and self.frames < 1):
            raise InputError("--jobs and --frames are numbers of at least 1")

    @property
    def _able(self) -> tuple[str, ...]:
        return tuple(PEERS) if self.channel == "none" else OVER_LINKS

    @property
    def rivals(self) -> tuple[str, ...]:
        """The peers: those asked for, or all that do not take hours."""
        return tuple(n for n in self._able if not PEERS[n].slow) if self.peers is None else self.peers

    @property
    def points(self) -> list[runs.Point]:
        """All (bitrate, SNR)."""
        snrs = self.snr if self.channel in RADIO else (None,)
        return [(rate, snr) for rate in self.bitrates for snr in snrs]


def _known(what: str, given, known) -> None:
    odd = [name for name in given if name not in known]
    if odd:
        raise InputError(f"unknown {what} {', '.join(odd)}; one of {', '.join(known)}")


def main(args: Args) -> None:
    """Run what is missing, then write tables and the page."""
    paths = [clip for folder in args.clips for clip in find_clips(folder)]
    names = [clip.name for clip in paths]
    if len(set(names)) < len(names):
        raise InputError(f"clips need different names, got {', '.join(names)}")
    args.out.mkdir(parents=True, exist_ok=True)
    ledger = runs.Ledger(args.out / "runs.jsonl")
    systems = system_tasks(args, paths)
    execute(args, ledger, systems, "systems")
    peers = peer_tasks(args, paths, systems, ledger)
    execute(args, ledger, peers, "peers")
    write(args, ledger, paths, [*systems, *peers])


def system_tasks(args: Args, paths: list[ClipPaths]) -> list[runs.Task]:
    """Every system on every clip at every point with every seed."""
    return [
        runs.Task(
            clip,
            system,
            (point,),
            str(suited(args.generator, system)),
            (seed,),
            args.frames,
            not args.found_labels,
            args.channel,
            args.loss,
        )
        for clip in paths
        for system in args.systems
        for point in args.points
        for seed in args.seeds
    ]


def peer_tasks(
    args: Args, paths: list[ClipPaths], systems: list[runs.Task], ledger: runs.Ledger
) -> list[runs.Task]:
    """Every peer on every clip, at the points where a system had a result, within what its largest took."""
    cost = "symbols" if args.channel in RADIO else "bytes"
    seeds = args.seeds if args.channel != "none" else (0,)
    tasks = []
    for clip in paths:
        budgets: dict[runs.Point, int] = {}
        for task in systems:
            row = ledger.rows.get(task.run_keys()[0], {})
            if task.clip == clip and "error" not in row and row:
                budgets[task.points[0]] = max(row[cost], budgets.get(task.points[0], 0))
        if budgets:
            points, sizes = zip(*sorted(budgets.items()))
            more = {"channel": args.channel, "loss": args.loss, "budgets": sizes}
            tasks += [
                runs.Task(clip, peer, points, seeds=seeds, frames=args.frames, **more) for peer in args.rivals
            ]
    return tasks


def execute(args: Args, ledger: runs.Ledger, tasks: list[runs.Task], what: str) -> None:
    """Run the tasks that have a run missing, in `args.jobs` processes; keep runs as they end."""
    todo = [t for t in tasks if not all(map(ledger.done, t.run_keys()))]
    if not todo:
        return
    # Fresh processes: a forked one would inherit the threads of JAX and numba.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(args.jobs, mp_context=context) as pool:
        pending = [pool.submit(runs.work, task, args.out) for task in todo]
        try:
            for future in progress(concurrent.futures.as_completed(pending), len(todo), what):
                ledger.add(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def write(args: Args, ledger: runs.Ledger, paths: list[ClipPaths], tasks: list[runs.Task]) -> None:
    """tables.md, runs.csv and index.html of these tasks' runs."""
    keys = {key for task in tasks for key in task.run_keys()}
    rows = ledger.pick(lambda row: row["key"] in keys)
    errors = [row for row in ledger.rows.values() if row["key"] in keys and "error" in row]
    for row in errors:
        print(f"{row['clip']}, {row['method']}, {tables.point_name(row)}: {row['error']}", file=sys.stderr)
    if not rows:
        raise InputError("no run ended well, so there is nothing to compare; the reasons are above")
    ours = {row["method"].partition(":")[0]: row["method"] for row in rows if row["kind"] == "system"}
    method = next(ours[system] for system in args.systems if system in ours)  # in whatever order runs ended
    means, against = tables.summary_cells(rows), tables.paired_cells(rows, method)
    text = tables.markdown(*means) + f"\n{method} minus each other method:\n\n" + tables.markdown(*against)
    (args.out / "tables.md").write_text(text)
    (args.out / "runs.csv").write_text(tables.runs_csv(rows))
    shown = {row["clip"] for row in rows}
    originals = {
        clip.name: runs.original_sheet(clip, args.frames, args.out) for clip in paths if clip.name in shown
    }
    command = shlex.join(["python", *sys.argv])
    (args.out / "index.html").write_text(page.render(rows, errors, originals, args.out, command, method))
    print(f"{text}\n{args.out / 'index.html'}")


if __name__ == "__main__":
    try:
        main(tyro.cli(Args, description=__doc__))
    except SemjaxError as error:
        sys.exit(f"error: {error}")
