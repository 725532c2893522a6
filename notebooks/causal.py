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
# # Causal: contours and tiny frames
#
# What the paper sends: outlines of label maps and strongly compressed tiny frames; here also a caption and now and then a still.

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
from semjax.systems import causal
from semjax.systems.receiver import conditions

stream = sj.encode(video, labels=labels, fps=25, cfg=causal.SenderConfig(bitrate=6000))
data = sj.stream.pack(stream)
decoded = np.concatenate([step.labels for step in conditions(stream)])
print(sj.stream.ledger(data), f"{8 * len(data) / labels.size:.1e} bpp, mIoU {float(sj.metrics.miou(labels, decoded)):.3f}")

# %%
painted = sj.decode(stream)
diffused = sj.decode(stream, sj.load_generator("tiny"))
show({"original": video[16], "contours": sj.painting.PALETTE[decoded[16] % 12], "painted": painted[16], "diffused": diffused[16]})

# %% [markdown]
# ## The network has a say
#
# A node that decodes nothing drops units until a rate is met: texture first, contours last.

# %%
pictures = {"6000 bit/s": painted[16]}
for bitrate in (3000, 1500):
    left = sj.stream.unpack(sj.stream.prune(data, bitrate))
    print(bitrate, {layer: len(units) for layer, units in left.units.items()})
    pictures[f"{bitrate} bit/s"] = sj.decode(left)[16]
show(pictures)

# %% [markdown]
# ## Sealed
#
# Encrypted and authenticated end to end, and still prunable.

# %%
key = bytes(range(32))
sealed = sj.stream.pack(sj.stream.seal(stream, key))
opened = sj.stream.unseal(sj.stream.unpack(sj.stream.prune(sealed, 4000)), key)
print(len(data), len(sealed), {layer: len(units) for layer, units in opened.units.items()})
