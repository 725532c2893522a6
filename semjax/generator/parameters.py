"""Parameters of a generator: their shapes, without computing anything, and random values for them."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semjax.generator.config import ModelConfig
from semjax.generator.control import control_shapes
from semjax.generator.pictures import picture_shapes
from semjax.generator.restoration import restoration_shapes
from semjax.generator.temporal import temporal_shapes
from semjax.generator.text import text_shapes
from semjax.models.controlnet import ControlNet
from semjax.models.motion import MotionModules
from semjax.models.unet import UNet2DCondition

PARTS = ("unet", "control", "restoration", "temporal", "text", "picture", "controlnet", "motion")
# What begins as doing nothing: the last layer of every adapter.
_ZERO = re.compile(
    r"(restoration|temporal)/.*/out/|temporal/.*/bias$|control/inject/|text/out/"
    r"|controlnet/controlnet_(down_blocks|mid_block)|motion/.*/proj_out/"
)
_TABLES = re.compile(r"control/classes|text/(words|places)$")


def param_shapes(model: ModelConfig) -> dict[str, Any]:
    """The parameter tree as `jax.ShapeDtypeStruct`s, one subtree for each of PARTS."""
    latents, states = jnp.zeros((1, 8, 8, model.unet.in_channels)), jnp.zeros((1, 1, model.text_width))
    key = jax.random.key(0)
    unet = jax.eval_shape(UNet2DCondition(model.unet).init, key, latents, 0, states)["params"]
    controlnet, motion = {}, {}
    if model.controlnet is not None:
        shown = jnp.zeros((1, 8 * model.factor, 8 * model.factor, 3))
        init = ControlNet(model.controlnet).init
        controlnet = jax.eval_shape(init, key, latents, 0, states, shown)["params"]
    if model.motion is not None:
        motion = jax.eval_shape(MotionModules(model.motion).init, key)["params"]
    found = {
        "unet": unet,
        "control": control_shapes(model),
        "restoration": restoration_shapes(model),
        "temporal": temporal_shapes(model),
        "text": text_shapes(model),
        "picture": picture_shapes(model),
        "controlnet": controlnet,
        "motion": motion,
    }
    return jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s if isinstance(s, tuple) else s.shape, jnp.float32),
        found,
        is_leaf=lambda s: isinstance(s, tuple),
    )


def init_params(key: jax.Array, model: ModelConfig) -> dict[str, Any]:
    """Random parameters, drawn on the host: compiling a network's initialisation takes longer than using it.

    The adapters, and the last layer of an anchored backbone, begin as doing nothing.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())

    def draw(path, leaf):
        name, shape = "/".join(str(k.key) for k in path), leaf.shape
        if _ZERO.search(name) or (model.anchored and name.startswith("unet/conv_out/")):
            return jnp.zeros(shape)
        if name.endswith("/scale"):
            return jnp.ones(shape)
        if name.endswith("/bias"):
            return jnp.zeros(shape)
        spread = 0.5 if _TABLES.search(name) else 1 / math.sqrt(math.prod(shape[:-1]))
        return jnp.asarray(rng.standard_normal(shape, np.float32) * spread)

    return jax.tree_util.tree_map_with_path(draw, param_shapes(model))


def count(tree: Any) -> int:
    """Numbers in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
