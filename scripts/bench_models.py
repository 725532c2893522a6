"""Networks against PyTorch on this machine: `bench.py models speed unet`, `speed vae`, `memory FOLDER`.

speed   one UNet step or one decoding, both libraries in one process, in turns, the best of several; random weights
memory  greatest memory while loading a Stable Diffusion 1.5-sized UNet of random float16 weights, made in FOLDER
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def best_in_turns(first, second, count: int, clock) -> tuple[float, float]:
    """Least seconds of each of two functions, called alternately."""
    times = ([], [])
    for _ in range(count):
        for function, taken in zip((first, second), times):
            start = clock()
            function()
            taken.append(clock() - start)
    return min(times[0]), min(times[1])


def speed(args: argparse.Namespace) -> None:
    """Compare one call of a network with diffusers'."""
    import diffusers
    import jax
    import torch

    from semjax import checkpoints
    from semjax.checkpoints import networks
    from semjax.checkpoints.known import KNOWN

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    settings = KNOWN["sd15-unet" if args.network == "unet" else "sd-vae"].settings
    module = getattr(diffusers, networks.class_name(settings)).from_config(dict(settings)).eval()
    cfg = networks.by_settings(settings).read(settings)
    params = checkpoints.from_torch(cfg, {k: v.numpy() for k, v in module.state_dict().items()})
    net = checkpoints.network(cfg)
    side = args.pixels // 8
    draw = np.random.default_rng(0)
    x = draw.standard_normal((args.batch, side, side, 4), np.float32)
    text = draw.standard_normal((args.batch, 77, 768), np.float32)
    theirs = torch.tensor(x).permute(0, 3, 1, 2).contiguous(), torch.tensor(text)
    if args.network == "unet":
        call, inputs = net.apply, (x, np.int32(5), text)
        reference = lambda: module(theirs[0], torch.tensor(5), theirs[1]).sample  # noqa: E731
    else:
        call, inputs = (lambda p, x: net.apply(p, x, method="decode")), (x,)
        reference = lambda: module.decode(theirs[0]).sample  # noqa: E731
    start = time.perf_counter()
    lowered = jax.jit(call).lower({"params": params}, *inputs)
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    with torch.inference_mode():
        expected = reference().permute(0, 2, 3, 1).numpy()
        got = np.asarray(compiled({"params": params}, *inputs))
        clock = time.process_time if args.processor_time else time.perf_counter
        ours, torchs = best_in_turns(
            lambda: compiled({"params": params}, *inputs).block_until_ready(), reference, args.count, clock
        )
    print(f"{args.network}, {args.pixels} x {args.pixels} pixels, batch {args.batch}, {args.threads} threads")
    print(f"trace {traced - start:.1f} s, compile {done - traced:.1f} s")
    print(f"relative error {np.abs(got - expected).max() / np.abs(expected).max():.1e}")
    print(f"semjax {ours:.3f} s, PyTorch {torchs:.3f} s, ratio {ours / torchs:.2f}")


def _make(folder: Path) -> None:
    from safetensors.numpy import save_file

    from semjax.checkpoints import networks
    from semjax.checkpoints.known import KNOWN

    settings, draw = dict(KNOWN["sd15-unet"].settings), np.random.default_rng(0)
    cfg = networks.by_settings(settings).read(settings)
    state = {
        slot.keys[0]: (0.02 * draw.standard_normal(slot.torch_shape, np.float32)).astype(np.float16)
        for slot in networks.slots(cfg).values()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(settings))


_LOAD = """
import sys, jax, orbax.checkpoint, safetensors.numpy
from semjax import checkpoints
def status(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
before = status("VmRSS")
_, params = checkpoints.load(sys.argv[1], dtype=sys.argv[2] if len(sys.argv) > 2 else None)
size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
print(f"{size / 1e9:.2f} GB of weights, {(status('VmHWM') - before) / size:.2f} times that at most")
"""


def memory(args: argparse.Namespace) -> None:
    """Measure loading in processes of their own: PyTorch's file, as float32, and the converted folder."""
    from semjax import checkpoints

    source, ours = args.folder / "torch", args.folder / "semjax"
    if not source.exists():
        _make(source)
    if not ours.exists():
        checkpoints.convert(source, ours)
    for what in ([source], [source, "float32"], [ours]):
        print(" ".join(map(str, what)), flush=True)
        subprocess.run([sys.executable, "-c", _LOAD, *map(str, what)], check=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("speed")
    part.add_argument("network", choices=("unet", "vae"))
    part.add_argument("--pixels", type=int, default=512)
    part.add_argument("--batch", type=int, default=1)
    part.add_argument("--threads", type=int, default=2, help="PyTorch's; pin the process for JAX (taskset)")
    part.add_argument("--count", type=int, default=3)
    part.add_argument("--processor-time", action="store_true", help="count processor time, not the clock's")
    part.set_defaults(run=speed)
    part = parts.add_parser("memory")
    part.add_argument("folder", type=Path)
    part.set_defaults(run=memory)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
