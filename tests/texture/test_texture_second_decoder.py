"""A decoder written from docs/texture.md, in plain Python integers, must show the same frames as ours."""

import pytest
from second_texture_decoder import decode
from texture_clips import moving

from semjax import texture
from semjax.texture import TextureConfig, unit


@pytest.mark.parametrize(
    "frames, size, cfg",
    [
        (5, (19, 26), TextureConfig(step=12)),
        (4, (36, 20), TextureConfig(step=45)),
        (4, (17, 33), TextureConfig(step=16, lookahead=False)),
        (6, (21, 24), TextureConfig(bytes_per_frame=30)),
        (2, (12, 14), TextureConfig(step=1.2)),
        (7, (20, 24), TextureConfig(step=60)),
    ],
)
def test_a_decoder_from_the_page_shows_the_same_frames(frames, size, cfg):
    (payload,) = texture.encode_units(moving(frames, *size, 7), cfg, frames)
    want, _ = unit.decode_unit(payload, frames)
    assert (decode(payload, frames) == want).all()


def test_and_the_same_frames_where_some_are_made_and_others_coded():
    clip = moving(9, 24, 40, 3)
    clip[5:] = clip[5:, :, ::-1]
    (payload,) = texture.encode_units(clip, TextureConfig(step=60, group=8), 9)
    head, _ = unit.read_head(payload)
    assert head.makes
    want, _ = unit.decode_unit(payload, 9)
    assert (decode(payload, 9) == want).all()
