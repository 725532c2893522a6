"""What is behind the objects: an upper and a lower part that meet where the ground ends."""

import jax.numpy as jnp

from semjax.scenes import distance, ground
from semjax.scenes.look import narrow_switch
from semjax.scenes.noise import mix
from semjax.scenes.themes import EDGE, LOWER, LOWERS, SKY, THEMES, TINT, UPPER, UPPERS
from semjax.scenes.view import View, ground_point

FAR = 400.0  # depth of what is too far to receive a shadow


def paint(view: View, scene, themes):
    """The backdrop of one frame of a scene whose theme is one of `themes`.

    Returns the colour [H, W, 3], linear, and the depth z [H, W] of what is seen.
    """
    rows = [THEMES.index(name) for name in themes]
    edge, upper_kind, lower_kind = (jnp.asarray(table)[scene.theme] for table in (EDGE, UPPER, LOWER))
    x, z, px, pz = ground_point(view)
    # Rays that miss the ground meet the wall that stands where it ends.
    scale = edge / view.focal

    def wall():
        x, y = view.x + view.u * scale, view.y + view.v * scale
        return distance.wall(view, scene, x, y, scale * view.pixel)

    parts = {"sky": distance.sky, "bokeh": distance.bokeh, "depths": distance.depths}
    makers = [wall if name == "wall" else (lambda f=parts[name]: f(view, scene)) for name in UPPERS]
    upper = narrow_switch(upper_kind, UPPER[rows], makers)
    grounds = [(lambda f=getattr(ground, name): f(view, scene, x, z, px, pz)) for name in LOWERS]
    lower = narrow_switch(lower_kind, LOWER[rows], grounds)
    outdoors, walled = upper_kind == UPPERS.index("sky"), upper_kind == UPPERS.index("wall")
    # The hour tints what the ground reflects (water has its own sky); far ground takes on the air's colour.
    tint = jnp.where(outdoors & (lower_kind != LOWERS.index("lake")), jnp.asarray(TINT)[scene.hour], 1.0)
    haze = jnp.clip(1 - jnp.exp(-(z - 4) / 55), 0, 1) * outdoors * 0.75
    lower = mix(lower * tint, jnp.asarray(SKY)[scene.hour, 1], haze[..., None])
    ends = view.v + view.focal * view.y / edge
    below = jnp.clip(0.5 - ends / view.pixel, 0, 1)
    depth = jnp.where(ends < 0, z, jnp.where(walled, edge, FAR))
    corner = 1 - 0.35 * jnp.exp(-jnp.abs(ends) / 0.05) * walled
    return mix(upper, lower, below[..., None]) * corner[..., None], depth
