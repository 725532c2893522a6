"""What PSSS by InternVL costs: model FLOPs and wall time of a pair, for scripts/bench_semantics.py."""

import argparse
import functools
import time

import numpy as np


def flops(jaxpr, steps: int) -> float:
    """Multiplications and additions of all products of matrices and convolutions; while loops run `steps` times."""
    total = 0.0
    for eqn in jaxpr.eqns:
        name, inner = eqn.primitive.name, [_open(p) for p in _nested(eqn.params)]
        if name == "dot_general":
            (contract, _), _ = eqn.params["dimension_numbers"]
            over = np.prod([eqn.invars[0].aval.shape[axis] for axis in contract])
            total += 2.0 * np.prod(eqn.outvars[0].aval.shape) * over
        elif name == "conv_general_dilated":
            kernel = eqn.invars[1].aval.shape
            out = eqn.params["dimension_numbers"].rhs_spec[0]
            total += 2.0 * np.prod(eqn.outvars[0].aval.shape) * np.prod(kernel) / kernel[out]
        elif name == "scan":
            total += eqn.params["length"] * sum(flops(j, steps) for j in inner)
        elif name == "while":
            total += steps * sum(flops(j, steps) for j in inner)
        elif name == "cond":
            total += max(flops(j, steps) for j in inner)
        else:
            total += sum(flops(j, steps) for j in inner)
    return total


def _nested(params):
    for value in params.values():
        yield from (
            v for v in (value if isinstance(value, list | tuple) else [value]) if hasattr(_open(v), "eqns")
        )


def _open(jaxpr):
    return getattr(jaxpr, "jaxpr", jaxpr)


def model_flops(function, *args, steps: int = 0) -> float:
    """FLOPs of a function of abstract arrays, without computing anything."""
    import jax

    return flops(_open(jax.make_jaxpr(function)(*args)), steps)


def _pair_flops(
    size: str, seen: tuple[int, int], height: int, width: int, words: int
) -> tuple[float, float, float]:
    """(direct, what a new keyframe adds, two rounds as published) FLOPs a pair."""
    import jax
    import jax.numpy as jnp

    from semjax.checkpoints import network, networks
    from semjax.checkpoints.known import KNOWN
    from semjax.models.qwen2 import Cache, empty_cache
    from semjax.semantics import vision_language as vl
    from semjax.semantics.tiles import grid

    settings = KNOWN[f"internvl3-{size}"].settings
    cfg = networks.by_settings(settings).read(settings)
    net, params = network(cfg), networks.template(cfg)
    full = cfg.vision.image_size

    def shape(*dims, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(dims, dtype)

    def look(tiles, pixels):
        return model_flops(functools.partial(vl.look, net), params, shape(tiles, *pixels, 3, dtype=jnp.uint8))

    def begin(text, tiles, pixels):
        tokens = text + tiles * cfg.tokens(pixels)
        features = shape(tiles, cfg.tokens(pixels), cfg.text.hidden_size)
        ids = shape(1, tokens, dtype=jnp.int32)
        return model_flops(lambda p, i, f: vl.begin(net, p, i, f, tokens), params, ids, features)

    question, answer = 30, 20  # tokens of the direct prompt before and after the second picture
    room = question + answer + 2 * (cfg.tokens(seen) + 2)
    cache = Cache(*jax.eval_shape(lambda: empty_cache(cfg.text, 1, room)))
    suffix = shape(answer + cfg.tokens(seen) + 2, dtype=jnp.int32)
    features = shape(1, cfg.tokens(seen), cfg.text.hidden_size)
    read = model_flops(lambda p, c, i, f: vl.judge(net, p, c, i, f), params, cache, suffix, features)
    direct = look(1, seen) + read

    rows, columns = grid(height, width, full[0], 12)
    tiles = rows * columns + (rows * columns > 1)
    prompt, again = 110, 60  # tokens of the published prompts
    room = prompt + 2 * tiles * cfg.tokens() + words
    cache = Cache(*jax.eval_shape(lambda: empty_cache(cfg.text, 1, room)))
    logits = shape(1, cfg.text.vocab_size)
    text = model_flops(
        lambda p, o, c: vl.write(net, p, o, c, words, 0), params, logits, cache, steps=words - 1
    )
    vision = look(2 * tiles, full)
    first = begin(prompt, 2 * tiles, full)
    second = begin(prompt + words + again, 2 * tiles, full)
    return direct, begin(question, 1, seen), 2 * vision + first + text + second


def _size(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


def cost(args: argparse.Namespace) -> None:
    """FLOPs at the published sizes, wall time at a small one with random weights."""
    height, width = args.picture
    print(
        f"FLOPs a pair of {width}x{height} pictures; published: two rounds, both read from scratch, a description"
    )
    print(f"of {args.words} tokens. direct: the candidate's features and its part of the prompt.")
    for size in args.sizes:
        for seen in map(_size, args.sizes_seen):
            direct, keyframe, published = _pair_flops(size, seen, height, width, args.words)
            with_keyframe = direct + keyframe / args.candidates
            print(
                f"InternVL3-{size.upper()}, {seen[0]}x{seen[1]} pixels: direct {direct / 1e12:.3f} TFLOP (+ "
                f"{keyframe / 1e12:.3f} for a new keyframe), published {published / 1e12:.2f} TFLOP: "
                f"{published / direct:.1f} times, {published / with_keyframe:.1f} with a keyframe every "
                f"{args.candidates} candidates"
            )
    if args.wall:
        _wall(args)


def _wall(args: argparse.Namespace) -> None:
    import jax

    from semjax.models.internvit import InternVitConfig
    from semjax.models.internvl import InternVl, InternVlConfig, example
    from semjax.models.qwen2 import Qwen2Config
    from semjax.semantics import judge, vision_language

    cfg = InternVlConfig(
        vision=InternVitConfig(hidden_size=128, intermediate_size=512, num_hidden_layers=6, num_attention_heads=4,
                               attention_bias=True),
        text=Qwen2Config(vocab_size=2048, hidden_size=128, intermediate_size=512, num_hidden_layers=6,
                         num_attention_heads=4, num_key_value_heads=2),
        image_token_id=5,
    )  # fmt: skip
    net, draw = InternVl(cfg), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), *example(cfg)))["params"]
    params = jax.tree.map(lambda s: (0.05 * draw.standard_normal(s.shape)).astype(s.dtype), shapes)
    vlm = vision_language.Vlm(net, params, _Words())
    video = draw.integers(0, 256, (args.pairs + 1, *args.picture, 3), np.uint8)
    seconds = {}
    for name, size, settings in [
        ("two-round", None, judge.JudgeConfig(mode="two-round", words=args.words)),
        *((f"direct, {size}", _size(size), judge.JudgeConfig(ahead=args.batch)) for size in args.sizes_seen),
    ]:
        count = 2 if name == "two-round" else args.pairs
        for _ in range(2):  # the first compiles
            clip = vision_language.watch(vlm, video, size=size)
            score = judge.scorer(clip, settings)
            start = time.perf_counter()
            for j in range(1, count + 1):
                score(0, j)
            seconds[name] = (time.perf_counter() - start) / count
        ratio = f", {seconds['two-round'] / seconds[name]:.0f} times less" if name != "two-round" else ""
        print(
            f"wall time a pair, random weights of width 128, {name}: {seconds[name]:.3f} s{ratio}", flush=True
        )


class _Words:
    """A tokenizer of single words: enough to measure time with."""

    SPECIALS = ("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>")

    def get_vocab(self):
        return {token: 1 + i for i, token in enumerate(self.SPECIALS)}

    def encode(self, text, add_special_tokens=False):
        import re
        import zlib

        vocab = self.get_vocab()
        words = re.findall("|".join(map(re.escape, self.SPECIALS)) + r"|\s?\w+|\s|[^\w\s]", text)
        return [vocab.get(word, 16 + zlib.crc32(word.encode()) % 2000) for word in words]
