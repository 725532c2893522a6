"""Weights of an autoencoder that are known without training: mean colours of squares of 4 pixels, and back."""

import jax
import jax.numpy as jnp
import numpy as np

from semjax import generator

GAIN = 2.0


def box_params(model, seed=0):
    """Parameters of "minuscule-latent" whose first three latents are the mean colour (0 to GAIN) of their square.

    Its blocks do nothing, its halvings take means, its doublings repeat; the decoder's tanh bends colours a little.
    """
    params = generator.init_params(jax.random.key(seed), model)
    picture = jax.tree.map(jnp.zeros_like, params["picture"])

    def put(half, layer, *taps, gain=1.0):
        kernel = np.zeros(picture[half][layer]["kernel"].shape, np.float32)
        for c in range(3):
            for y, x in taps:
                kernel[y, x, c, c] = gain / len(taps)
        picture[half][layer]["kernel"] = jnp.asarray(kernel)

    square = [(1, 1), (1, 2), (2, 1), (2, 2)]
    names = sorted(picture["encoder"], key=lambda n: int(n.split("_")[1]))
    plain = [n for n in names if "kernel" in picture["encoder"][n]]
    put("encoder", plain[0], (1, 1))
    for name in plain[1:3]:
        put("encoder", name, *square)
    put("encoder", plain[3], (1, 1), gain=GAIN)
    for name in [n for n in picture["decoder"] if "kernel" in picture["decoder"][n]]:
        put("decoder", name, (1, 1), gain=1.08 / GAIN if name == "layers_0" else 1.0)
    return {**params, "picture": picture}
