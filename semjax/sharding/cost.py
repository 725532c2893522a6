"""What a frame costs, counted without running or compiling it, and what that means on devices that are not at hand.

Counted are the products (matrices, convolutions) of `generate_frame`'s jaxpr, each with the path of its layer, so
that the rules of a mesh say which of them it cuts and what has to be sent for that. Predicted is a roofline: every
product takes its arithmetic or its memory traffic, whichever is longer; what lies between products is taken as fused
into them; what is sent is not overlapped. A prediction is no measurement: `efficiency` is an assumption, and so is
`latency`.
"""

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.interpreters import partial_eval

from semjax.generator import (
    GeneratorConfig,
    count,
    from_bytes,
    generate_frame,
    init_cache,
    param_shapes,
)
from semjax.sharding.devices import Device
from semjax.sharding.presets import parameter_rules
from semjax.sharding.rules import Rule
from semjax.sharding.step import blank_conditions

LATENCY = 5e-6  # seconds that one collective takes however little it sends; assumed
EFFICIENCY = 0.4  # share of the peak arithmetic that products reach; assumed
STREAMING = 0.7  # share of the memory's bandwidth that they reach; assumed
_ONCE = re.compile("unet/conditioning/|/time_emb_proj$|/attn2/to_[kv]$")


@dataclasses.dataclass(frozen=True)
class Product:
    """A matrix product or convolution, `times` in a frame, at the layer `path` (as in rules).

    flops: arithmetic. moved: bytes read and written, `weights` of them parameters, `out` the result. rows: whether it
    works on pixels, which the axis `space` shares out. halo: bytes of one row of what a convolution looks at.
    """

    path: str
    kind: str
    flops: float
    moved: float
    weights: float
    out: float
    times: int
    rows: bool
    halo: float


@dataclasses.dataclass(frozen=True)
class Work:
    """A frame of `batch` streams. cache: bytes for one stream. parameters: bytes of all. norms: group norms with
    the bytes of their moments, summed over a frame: (how many, bytes)."""

    products: tuple[Product, ...]
    batch: int
    size: tuple[int, int]
    cache: float
    parameters: float
    norms: tuple[int, float]

    @property
    def flops(self) -> float:
        """Of a frame of all streams."""
        return sum(p.flops * p.times for p in self.products)

    def of(self, batch: int) -> "Work":
        """The work of a step of `batch` such streams: all but the weights grows with them."""

        def one(p):
            moved = p.weights + batch * (p.moved - p.weights)
            return dataclasses.replace(
                p, flops=batch * p.flops, moved=moved, out=batch * p.out, halo=batch * p.halo
            )

        norms = (self.norms[0], batch * self.norms[1])
        return dataclasses.replace(self, products=tuple(map(one, self.products)), batch=batch, norms=norms)


@functools.lru_cache(maxsize=64)
def work(cfg: GeneratorConfig, size: tuple[int, int], tiny: tuple[int, int]) -> Work:
    """Count a frame of one stream of `size` (height, width) without a keyframe."""
    model = cfg.model
    params = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, model.dtype), param_shapes(model))
    cache = jax.eval_shape(lambda: init_cache(cfg, *size))
    given = jax.eval_shape(lambda: blank_conditions(model, size, tiny, 1))

    def frame(params, cache, given, key):
        return generate_frame(params, cache, from_bytes(given), key, cfg=cfg)

    closed = jax.make_jaxpr(frame)(params, cache, given, jax.random.key(0))
    # The pass that makes the Restoration Adapter's queries needs no more than their layers; compilers see that.
    needed, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars), instantiate=True)
    width = np.dtype(model.dtype).itemsize
    found, norms = [], [0, 0.0]
    for equation, path, times in _walk(needed, 1, ""):
        if equation.primitive.name == "rsqrt":
            shape = equation.outvars[0].aval.shape
            if "UNet2DCondition" in path and len(shape) == 2:  # [B, C]: of groups, over all pixels
                norms[0] += times
                norms[1] += times * 2 * 4 * math.prod(shape)
        else:
            found.append(_product(equation, path, times, model.text_tokens))
    held = sum(math.prod(s.shape) * np.dtype(s.dtype).itemsize for s in jax.tree.leaves(cache))
    same = collections.Counter()
    for p in found:
        same[dataclasses.replace(p, times=1)] += p.times
    products = tuple(dataclasses.replace(p, times=times) for p, times in same.items())
    return Work(products, 1, size, held, count(params) * width, tuple(norms))


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What the axes of a mesh have to send for a frame, for each device: {axis: (how often, bytes received)}."""

    by_axis: dict[str, tuple[int, float]]


def traffic_of(done: Work, cfg: GeneratorConfig, mesh: Mapping[str, int]) -> Traffic:
    """The collectives that the rules of a mesh ask for; `done` is the work of the streams of one device of `data`.

    model: a sum after every product that is cut by its inputs, and the exchange of the halves of gated layers. space:
    one row of each side for 3x3 convolutions, moments of norms, keys and values of self-attention, pictures. data: a
    bit.
    """
    ways, rows = mesh["model"], mesh["space"]
    model, space = [0, 0.0], [0, 0.0]
    for p in done.products:
        kind = _cut(p, parameter_rules(cfg.model, mesh)) if ways > 1 else None
        share = rows if p.rows else 1
        if kind == "in":
            model[0] += p.times
            model[1] += p.times * 2 * (ways - 1) / ways * p.out / share
        elif kind == "out" and p.path.endswith("net_0_proj"):
            model[0] += 2 * p.times
            model[1] += p.times * p.out / ways / share
        if rows == 1 or not p.rows:
            continue
        if p.halo:
            space[0] += 2 * p.times
            space[1] += p.times * 2 * p.halo
        elif p.path.endswith(("attn1/to_k", "attn1/to_v")):
            space[0] += p.times
            space[1] += p.times * p.out * (rows - 1) / rows / (ways if kind == "out" else 1)
    if rows > 1:
        # Pictures, as bytes, come together for those who write them.
        space[0] += 2 * done.norms[0] + 1
        space[1] += (rows - 1) / rows * done.batch * 3 * math.prod(done.size)
        space[1] += 2 * (rows - 1) / rows * done.norms[1]
    found = {"data": (1, 1.0)} if mesh["data"] > 1 else {}
    found |= {"model": tuple(model)} if ways > 1 else {}
    found |= {"space": tuple(space)} if rows > 1 else {}
    return Traffic(found)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Of a step of all `streams` on a mesh: seconds of products and of sending, and bytes held by each device."""

    compute: float
    send: float
    streams: int
    bytes: float

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return self.compute + self.send

    @property
    def frames_per_second(self) -> float:
        """Over all streams."""
        return self.streams / self.step


def predict(
    cfg: GeneratorConfig,
    device: Device,
    mesh: Mapping[str, int],
    *,
    size: tuple[int, int] = (512, 512),
    tiny: tuple[int, int] = (36, 64),
    batch: int = 1,
    efficiency: float = EFFICIENCY,
    streaming: float = STREAMING,
    latency: float = LATENCY,
) -> Prediction:
    """Predict a step of `batch` streams for each device of the axis `data`. The ceiling is what efficiency
    and streaming of 1 and a latency of 0 give."""
    done, ways, rows = work(cfg, size, tiny).of(batch), mesh["model"], mesh["space"]
    rules = parameter_rules(cfg.model, mesh)
    compute = 0.0
    for p in done.products:
        cut = ways if ways > 1 and _cut(p, rules) else 1
        share = cut * (rows if p.rows else 1)
        weights = p.weights / cut
        moved = weights + (p.moved - p.weights) / share
        arithmetic = p.flops / share / (device.tflops * 1e12 * efficiency)
        compute += p.times * max(arithmetic, moved / (device.bandwidth * 1e9 * streaming))
    send = 0.0
    for axis, (often, received) in traffic_of(done, cfg, mesh).by_axis.items():
        if axis != "data":
            send += often * latency + received / (device.links * device.ring * 1e9)
    largest = max(p.moved - p.weights for p in done.products)
    held = done.parameters + batch * done.cache + 2 * largest
    return Prediction(compute, send, batch * mesh["data"], held)


def viewers(
    cfg: GeneratorConfig, device: Device, mesh: Mapping[str, int], fps: float = 25.0, **settings: Any
) -> tuple[int, Prediction | None]:
    """(streams, prediction) that a mesh keeps up with at `fps` frames a second each: the largest batch whose step
    takes at most 1 / fps and fits the memory; (0, None) when there is none."""
    best, low, high = None, 0, 1
    while (
        (found := predict(cfg, device, mesh, batch=high, **settings))
        and _serves(found, device, fps)
        and high < 4096
    ):
        best, low, high = found, high, 2 * high
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        found = predict(cfg, device, mesh, batch=middle, **settings)
        if _serves(found, device, fps):
            best, low = found, middle
        else:
            high = middle
    return (best.streams, best) if best else (0, None)


def _serves(found: Prediction, device: Device, fps: float) -> bool:
    return found.step <= 1 / fps and found.bytes <= device.memory * 1e9


def _walk(jaxpr: Any, times: int, path: str) -> Iterator[tuple[Any, str, int]]:
    """The products and reciprocal roots that a jaxpr runs: (equation, path, how often)."""
    by_platform = set()
    for equation in jaxpr.eqns:
        name, own = equation.primitive.name, f"{path}/{equation.source_info.name_stack}"
        if name == "platform_index":
            by_platform |= set(equation.outvars)
        if name in ("dot_general", "conv_general_dilated", "rsqrt"):
            yield equation, own, times
        elif name == "cond":
            branches = equation.params["branches"]
            if equation.invars[0] in by_platform:
                chosen = branches[-1]  # what is there for accelerators
            else:
                chosen = min(branches, key=lambda branch: _flops(branch.jaxpr))
            yield from _walk(chosen.jaxpr, times, own)
        else:
            rounds = equation.params["length"] if name == "scan" else 1
            for inner in _inside(equation):
                yield from _walk(inner, times * rounds, own)


def _inside(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(one, "jaxpr"):
                yield one.jaxpr
            elif hasattr(one, "eqns"):
                yield one


def _flops(jaxpr: Any) -> float:
    walked = _walk(jaxpr, 1, "")
    return sum(
        times * _arithmetic(equation) for equation, _, times in walked if equation.primitive.name != "rsqrt"
    )


def _arithmetic(equation: Any) -> float:
    """FLOPs: twice the multiplications."""
    left, right = (v.aval.shape for v in equation.invars[:2])
    out = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
        contracted = equation.params["dimension_numbers"][0][0]
        return 2.0 * out * math.prod(left[i] for i in contracted)
    numbers = equation.params["dimension_numbers"]
    features = numbers.rhs_spec[0]
    return 2.0 * out * math.prod(right) / right[features]


def _product(equation: Any, path: str, times: int, tokens: int) -> Product:
    sizes = [
        math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in (*equation.invars[:2], equation.outvars[0])
    ]
    left, right = (v.aval.shape for v in equation.invars[:2])
    # What is multiplied for every stream alone has its axis among the batch dimensions: attention, no weights.
    numbers = equation.params["dimension_numbers"]
    shared = equation.primitive.name != "dot_general" or not numbers[1][1]
    kind = "conv" if equation.primitive.name == "conv_general_dilated" else "dot"
    # What is made of the time or of the text alone has no pixels.
    layer, few = _layer(path), kind == "dot" and math.prod(left[:-1]) <= tokens
    return Product(
        path=layer,
        kind=kind,
        flops=_arithmetic(equation),
        moved=float(sum(sizes)),
        weights=float(sizes[1] if shared else 0),
        out=float(sizes[2]),
        times=times,
        rows=not (_ONCE.search(layer) if layer.startswith("unet/") else few),
        halo=float(sizes[0] / left[1]) if kind == "conv" and right[0] > 1 else 0.0,
    )


def _layer(path: str) -> str:
    """The path of a layer as in rules: scopes of modules alone, the backbone called unet."""
    parts = [p for p in path.split("/") if p and not p.endswith("._layer")]
    parts = ["unet" if p == "UNet2DCondition" else p for p in parts]
    return "/".join(parts[parts.index("unet") :] if "unet" in parts else parts)


def _cut(p: Product, rules: Sequence[Rule]) -> str | None:
    """How the axis `model` cuts a product: by outputs ("out"), by inputs ("in"), by heads ("heads"), or not."""
    axes = _axes_of(f"{p.path}/kernel", tuple(rules))
    if axes is not None:
        return "out" if axes[-1] == "model" and len(axes) in (2, 4) else "in"
    attention = re.fullmatch(r"(.*/attn[12])/.*\(.*", p.path)
    if attention and _axes_of(f"{attention[1]}/to_q/kernel", tuple(rules)):
        return "heads"
    return None


@functools.lru_cache(maxsize=4096)
def _axes_of(path: str, rules: tuple[Rule, ...]) -> tuple | None:
    return next((rule.axes for rule in rules if re.fullmatch(rule.pattern, path)), None)
