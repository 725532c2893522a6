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
# # First steps: a clip as two thousand bytes
#
# A sender turns a clip into what it means: outlines of what is there, a few colours, a sentence, now and then a picture.
# A receiver paints the clip again. Here both run on the bundled sample, without any network or accelerator.

# %%
import matplotlib.pyplot as plt
import numpy as np

import semjax as sj

sample = sj.sample_clip()
video = sj.read_video(sample.video_path)[:24]  # uint8 [T, H, W, 3]
labels = sj.read_labels(sample.labels_path)[:24]  # uint8 [T, H, W]
video.shape, labels.shape, f"{video.nbytes:,} bytes raw"

# %% [markdown]
# ## Encode
#
# `encode` gives a `Stream`: four layers, each cut into units that travel in packets of their own. Any layer may be
# dropped on the way.

# %%
stream = sj.encode(video, labels=labels, fps=25, cfg=sj.systems.causal.SenderConfig(bitrate=8000))
data = sj.stream.pack(stream)
sj.stream.ledger(data)

# %% [markdown]
# ## Decode
#
# What crossed the link is `data`. The receiver knows nothing else.

# %%
received = sj.stream.unpack(data)
painted = sj.decode(received)
print(f"{video.nbytes / len(data):,.0f} times less than raw, {8 * len(data) / painted[..., 0].size:.5f} bits a pixel")
print(f"PSNR {float(sj.metrics.psnr(video, painted)):.2f} dB, MS-SSIM {float(sj.metrics.ms_ssim(video, painted)):.3f}")

# %%
frame = 16
decoded = np.concatenate([step.labels for step in sj.systems.receiver.conditions(received)])
pictures = {"original": video[frame], "label map": labels[frame], "decoded": decoded[frame], "painted": painted[frame]}
figure, axes = plt.subplots(2, 2, figsize=(10, 6))
for axis, (title, picture) in zip(axes.flat, pictures.items()):
    axis.imshow(picture, cmap="tab10" if picture.ndim == 2 else None, interpolation="nearest")
    axis.set_title(title)
    axis.axis("off")
figure.tight_layout()

# %% [markdown]
# ## What each layer is worth
#
# Layers decode alone. Without contours colours run over edges; without texture only outlines are left.

# %%
for dropped in (["contour"], ["texture"], ["keyframe"]):
    without = sj.decode(received.without(*dropped))
    print(f"without {dropped[0]:>8}: PSNR {float(sj.metrics.psnr(video, without)):.2f} dB")

# %% [markdown]
# ## Rates
#
# A rate is met within 10 % or refused with the least possible one.

# %%
rates = [4000, 8000, 32000]
quality = []
for rate in rates:
    coded = stream if rate == 8000 else sj.encode(video, labels=labels, fps=25, cfg=sj.systems.causal.SenderConfig(bitrate=rate))
    quality.append(float(sj.metrics.ms_ssim(video, painted if coded is stream else sj.decode(coded))))
figure, axis = plt.subplots(figsize=(6, 3.5))
axis.plot(np.array(rates) / 1000, quality, "o-")
axis.set(xlabel="kbit/s", ylabel="MS-SSIM", title="Painted without a network")
axis.grid(alpha=0.3)
