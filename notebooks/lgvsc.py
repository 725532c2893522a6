# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # LGVSC: keyframes, words, and a world model between
#
# Keyframes are sent where the meaning changed (SKEM) or at a fixed interval (SKIM); every segment between has a sentence and a
# motion score. The receiver makes the segments; here without any network.

# %%
import matplotlib.pyplot as plt
import numpy as np

import semjax as sj

sample = sj.sample_clip()
video = sj.read_video(sample.video_path)[:24]  # uint8 [T, H, W, 3]
labels = sj.read_labels(sample.labels_path)[:24]  # uint8 [T, H, W]


def show(pictures):
    figure, axes = plt.subplots(1, len(pictures), figsize=(4 * len(pictures), 3), layout="constrained")
    for axis, (title, picture) in zip(axes, pictures.items()):
        axis.imshow(picture)
        axis.set_title(title)
        axis.axis("off")

# %%
from semjax.systems import lgvsc

streams = {}
for selection in ("skem", "skim"):
    cfg = lgvsc.SenderConfig(bitrate=30_000, selection=selection, keyframes=4)
    streams[selection] = sj.encode(video, labels=labels, fps=25, cfg=cfg)
    for segment in lgvsc.segments(streams[selection]):
        score = "" if segment.score is None else f"{segment.score:.1f}"
        print(f"{selection}: {segment.frames:3d} frames from {segment.first:3d}, motion {score:>4}: {segment.caption}")

# %%
painted = {selection: sj.decode(stream) for selection, stream in streams.items()}
for selection, stream in streams.items():
    quality = float(sj.metrics.psnr(video, painted[selection]))
    print(f"{selection}: {len(sj.stream.pack(stream)):,} bytes, PSNR {quality:.2f} dB")
show({"original": video[12], "made between keyframes": painted["skim"][12]})

# %% [markdown]
# ## Over the air
#
# At 10 dB: symbols for each sample of the clip (CBR), everything counted.

# %%
import jax

from semjax.channel import LinkConfig
from semjax.systems import link

sent = link.send(sj.stream.pack(streams["skim"]), LinkConfig("awgn", snr_db=10.0), jax.random.key(0))
print(f"CBR {sent.ledger.symbols / video.size:.2e}, {len(sent.lost())} packets lost")

# %% [markdown]
# ## A lost keyframe joins two segments

# %%
from semjax.systems import records

unit = records.read_records(streams["skim"].units["keyframe"][0], len(video))
gone = sorted({offset for offset, _ in unit})[1]
units = {"keyframe": {0: records.write_records([r for r in unit if r[0] != gone])}}
poorer = sj.Stream(streams["skim"].info, {"keyframe": 32}, units, "lgvsc", partial=True)
print([(s.first, s.frames) for s in lgvsc.segments(poorer)])
