"""Learn the tables that the contour coder ships with, from made-up label maps only (scripts/label_scenes.py).

    python scripts/train_contour_tables.py --work DIR [--clips 96] [--steps 20000] [--out semjax/assets]

1. `rates`: code lengths for the encoder's decisions, at first from plain majority cells.
2. Encode every clip at a fineness and look-ahead of its own and some frames without loss; keep the questions that
   the grid coder asked, their answers, and the maps (in DIR, one file a clip, so that a run can be continued).
3. Train the two networks on questions and answers, in floats; round them to integers.
4. Run the coder over all maps with them: what its mixers, maps and flags end as is what it starts with.
5. `rates` again, from the maps of step 2.

Writes contour_tables.npz and contour_tables_rate.npz.

With --fine the same for cells of one pixel alone, with and without loss, from clips full of detail besides the others:
code lengths, network and mixers start from the shipped ones. Writes contour_tables_fine.npz and
contour_tables_fine_rate.npz.
"""

import dataclasses
import itertools
import pickle
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from label_scenes import label_clip

from semjax.contours import best, best_encoder, prices, priors, quality, rate
from semjax.contours import gridmodel as gm
from semjax.contours.config import ContourConfig
from semjax.contours.grid import shrink
from semjax.entropy import binary as eb

_MOST_ROWS = 24000  # of one clip and kind
_PRIMED = 120  # clips that the mixers start from
_KINDS = ("lossy", "lossless")
_FINE_RATES = ("kite", "bmx", "figures", "kite", "bmx", "bodies", "kite", "bmx", "avenue", "figures")
_FINE = (
    "kite",
    "bmx",
    "avenue",
    None,
    None,
)  # kinds of clips for --fine, in turn; None: whatever the seed says


@dataclasses.dataclass
class Args:
    """What to learn from and where to write."""

    work: Path
    clips: int = 96
    first: int = 0  # seed of the first clip
    steps: int = 20000
    out: Path = Path("semjax/assets")
    collect_only: bool = False
    shipped_rates: bool = False  # decide with the shipped code lengths: a second round of the same
    fine: bool = False  # tables for cells of one pixel


class Recorder(best.Codec):
    """A coder that keeps what it was asked to code."""

    def __init__(self, height, width):
        super().__init__(*eb.new_pricer(), height, width)
        self.log = np.zeros((1 << 20, gm.N_FEATURES + 1), np.int8)
        self.maps = []

    def cells(self, kind, pred, behind, gap, frame):
        """As the codec's own, and keep the maps."""
        cells, scale = frame.cells, frame.scale
        grids = [cells] * 3 if kind == gm.INTRA else [shrink(m, scale) for m in (pred, *behind)]
        full = cells if kind == gm.INTRA or scale == 1 else pred
        self.maps.append((cells.copy(), *grids, full, scale, kind, gap))
        return super().cells(kind, pred, behind, gap, frame)


def majority_rates(clips) -> np.ndarray:
    """Symbol counts of plain majority cells, each frame with the one before as its prediction."""
    counts = np.zeros((prices.CONTEXTS, prices.SYMBOLS), np.float32)
    for seed in clips:
        labels = label_clip(seed, 3)
        before = None
        for frame in labels:
            cells = shrink(frame, 5)
            near = prices.surroundings(cells if before is None else before)
            prices.count(cells, cells if before is None else before, near, int(before is not None), counts)
            before = cells
    return counts


def collect(seed: int, table, fine: bool) -> dict:
    """Encode one clip both ways; what `Recorder` kept, by kind."""
    rng = np.random.default_rng(seed)
    labels = label_clip(seed, 8, _FINE[seed % len(_FINE)]) if fine else label_clip(seed)
    labels, weights = _weighed(labels)
    edge = rate.edge_cost(labels, weights)
    counts = np.zeros((prices.CONTEXTS, prices.SYMBOLS), np.float32)
    out = {"counts": counts}
    if fine:
        scale = int(rng.choice([1, 2, 2, 3]))
        lam = (
            rng.uniform(0.1, 0.6) if scale == 1 else quality.KAPPA * scale**2 * rng.uniform(0.3, 1.2)
        ) * edge
        gap = int(rng.choice([1, 1, 1, 2, 4] if scale == 1 else [1, 3, 8, 16]))
        lossy = best_encoder.Plan(scale, lam, gap, 1000, thorough=True)
    else:
        size = 7 * (labels[0].size / (480 * 854)) ** 0.5 * rng.uniform(0.5, 1.4)
        gap = int(rng.choice([1, 3, 8, 16, 16]))
        lossy = best_encoder.Plan(max(2, round(size)), quality.KAPPA * size**2 * edge, gap, 1000)
    exact = best_encoder.Plan(1, rate.LOSSLESS_BIT, 1, 1000, lossless=True)
    for kind, maps, cost, plan in zip(
        _KINDS, (labels, labels[:4]), (weights, np.full(256, 0.5)), (lossy, exact)
    ):
        codec = Recorder(*labels.shape[1:])
        best_encoder.Sender(maps, cost, plan, table, codec, counts).run()
        rows = codec.log[: codec.logged]
        keep = rng.permutation(len(rows))[:_MOST_ROWS]
        out[kind] = {"rows": rows[keep], "maps": codec.maps}
        print(
            seed,
            labels.shape,
            kind,
            f"{eb.cost(codec.coder) / 65536 / 8:.0f} bytes, {len(rows)} questions",
            flush=True,
        )
    return out


def train(rows, steps: int, hidden: int, seed: int = 0):
    """A network from rows int8 [n, N_FEATURES + 1] (the answer last): integers as `gm.network` wants them."""
    rng = np.random.default_rng(seed)
    rows = rows[rng.permutation(len(rows))]
    test, rows = rows[: len(rows) // 20], rows[len(rows) // 20 :]
    reach = np.maximum(rows[: 1 << 16].max(0)[:-1], 1).astype(np.float32)  # features of 0 to 7 or to 16
    reach = np.where(reach > 8, 8, np.where(reach > 1, 4, 1)).astype(np.float32)
    sizes = (gm.N_FEATURES, hidden, gm.N_MIDDLE, 1)
    params = [
        (jnp.asarray(rng.normal(0, 0.15 if n > 1 else 0.2, (m, n)), jnp.float32), jnp.full(n, 0.1 * (n > 1)))
        for m, n in itertools.pairwise(sizes)
    ]

    def loss(params, batch):
        x = batch[:, :-1].astype(jnp.float32) / reach
        for k, (w, b) in enumerate(params):
            x = (jax.nn.relu(x) if k else x) @ w + b
        z = jnp.clip(x[:, 0], -11, 11)
        return jnp.mean(jnp.logaddexp(0, z) - batch[:, -1].astype(jnp.float32) * z) / np.log(2)

    @jax.jit
    def step(params, m, v, i, batch, lr):
        grad = jax.grad(loss)(params, batch)
        m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, grad)
        v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, grad)
        scale = lr * jnp.sqrt(1 - 0.999**i) / (1 - 0.9**i)
        return jax.tree.map(lambda p, a, s: p - scale * a / (jnp.sqrt(s) + 1e-8), params, m, v), m, v

    m = v = jax.tree.map(jnp.zeros_like, params)
    price = jax.jit(loss)
    for i in range(1, steps + 1):
        at = rng.integers(0, max(len(rows) - 2048, 1))
        lr = 4e-3 * min(1, i / 200) * (0.5 * (1 + np.cos(np.pi * i / steps)) + 0.01)
        params, m, v = step(params, m, v, jnp.float32(i), rows[at : at + 2048], lr)
        if i % max(steps // 5, 1) == 0:
            print(i, f"{float(price(params, test)):.4f} bits a question", flush=True)
    params[0] = (params[0][0] / reach[:, None], params[0][1])
    layers = [np.round(np.concatenate([w, b[None]]) * 1024) for w, b in params]
    return [np.clip(layer, -32767, 32767).astype(np.int16) for layer in layers]


def prime(tables, runs) -> dict:
    """Tables after coding all maps of all runs, each run with fresh adaptive contexts."""
    tables = dict(tables)
    networks = priors.networks(tables)
    none = np.zeros((0, 1), np.int8)
    for maps in runs:
        state = gm.new_state(tables)
        coder, buf = eb.new_pricer()
        for cells, g1, g2, g3, full, scale, kind, gap in maps:
            net = networks[int(scale == 1)]
            gm.code_map(coder, buf, cells.copy(), g1, g2, g3, full, scale, kind, gap, state, net, none, 0)
        tables |= dict(zip(("mix1", "mix2", "apm", "flags"), state[1:5]))
    flags = tables["flags"]
    tables["flags"] = np.where(flags & 1023 > 200, flags & ~np.uint32(1023) | 200, flags).astype(np.uint32)
    return tables


def fine_rates() -> np.ndarray:
    """Symbol counts of cells of one pixel, of passes that hardly lose anything, decided with the shipped prices."""
    counts = np.zeros((prices.CORNER_ROWS, prices.SYMBOLS), np.float32)
    table = rate.rate_table(True)
    for seed in range(7000, 7030):
        labels, weights = _weighed(label_clip(seed, 9, _FINE_RATES[seed % len(_FINE_RATES)]))
        edge = rate.edge_cost(labels, weights)
        for lam in (0.06, 0.1):
            plan = best_encoder.Plan(
                1, lam * edge, 1, 1000, thorough=True, motion=rate.FINE_MOTION * edge, ahead=True
            )
            codec = best.Codec(*eb.new_pricer(), *labels.shape[1:], True)
            best_encoder.Sender(labels, weights, plan, table, codec, counts).run()
    return counts


def _weighed(labels):
    """Label maps and what their wrong pixels cost at a target mIoU."""
    cfg = ContourConfig(target_miou=0.95, weights=((0, 0.0),) if labels.max() < 8 else ())
    return labels, rate.pixel_weights(labels, cfg)


def _kept(file: Path) -> dict:
    return pickle.loads(zlib.decompress(file.read_bytes()))


def main(args: Args):
    """All steps."""
    args.work.mkdir(parents=True, exist_ok=True)
    seeds = range(args.first, args.first + args.clips)
    files = [args.work / f"{seed}.bin" for seed in seeds]
    table = None
    for seed, file in zip(seeds, files):
        if not file.exists():
            if table is None:
                shipped = args.shipped_rates or args.fine
                table = (
                    rate.rate_table(args.fine) if shipped else prices.bits_table(majority_rates(range(24)))
                )
            file.write_bytes(zlib.compress(pickle.dumps(collect(seed, table, args.fine)), 1))
    if args.collect_only:
        return
    rows, counts = {kind: [] for kind in _KINDS}, 0
    for one in map(_kept, files):
        counts = counts + one["counts"]
        for kind in _KINDS:
            rows[kind].append(one[kind]["rows"][:_MOST_ROWS])
    together = [[*rows["lossy"], *rows["lossless"]]] if args.fine else rows.values()
    hidden = gm.N_HIDDEN_FINE if args.fine else gm.N_HIDDEN
    layers = [train(np.concatenate(some), args.steps, hidden) for some in together]
    del rows, together
    tables = dict(priors.load()) if args.fine else priors.blank()
    tables |= {name: np.stack(sets) for name, sets in zip(("hidden", "middle", "out"), zip(*layers))}
    tables["out"] = tables["out"][:, :, 0]
    order = np.random.default_rng(0).permutation(len(files))[-_PRIMED:]
    tables = prime(tables, (one[kind]["maps"] for one in (_kept(files[i]) for i in order) for kind in _KINDS))
    np.savez_compressed(args.out / (priors.FINE_ASSET if args.fine else priors.ASSET), **tables)
    if args.fine:
        save_rates(args.out / priors.FINE_RATES_ASSET, fine_rates(), np.uint32)
    else:
        save_rates(args.out / priors.RATES_ASSET, counts / max(1, counts.sum() / 4e6), np.uint16)


def save_rates(path: Path, counts, dtype):
    """Store those counts that are not all 0."""
    rows = np.flatnonzero(counts.sum(1))
    counts = np.minimum(np.round(counts[rows] + 0.25), np.iinfo(dtype).max).astype(dtype)
    np.savez_compressed(path, rows=rows.astype(np.uint32), counts=counts)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
