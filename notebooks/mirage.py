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
# # Mirage: no pixels cross
#
# Captions carry time, codes of semantic tokens carry space: regions with a label and a few quantised features. The paper's
# headline is 51 800 times less than raw; that is the default rate here.

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
from semjax.systems import mirage

stream = sj.encode(video, labels=labels, fps=25, cfg=mirage.SenderConfig(bitrate=2500))
data = sj.stream.pack(stream)
print(sj.stream.ledger(data), f"{video.nbytes / len(data):,.0f} times less than raw")

# %% [markdown]
# ## What the code holds
#
# Keyframes as a grid of token numbers, and for every token its label and five small integers. There is no picture in it.

# %%
(first, group), *_ = mirage.groups(sj.stream.unpack(data))
print(f"keyframes at {[first + p for p in group.places]}, {len(group.labels)} tokens on {group.layouts.shape[2]} x {group.layouts.shape[1]} cells")
print("token 0 of the first keyframe:", group.features[0, int(group.layouts[0].min())])

# %% [markdown]
# ## What a receiver without a network makes of it

# %%
painted = sj.decode(sj.stream.unpack(data))
show({"original": video[16], "tokens": sj.painting.PALETTE[group.layouts[-1] % 12], "painted": painted[16]})

# %% [markdown]
# ## The sender has a say
#
# A withheld thing changes nothing in the stream: it is taken out before anything is measured.

# %%
from semjax.systems import policies, redaction, sources

source = sources.frames_from_array(video, 25)
maps = sources.labels_from_array(labels, source.info)
policy = policies.SenderPolicy(silhouettes=tuple(int(k) for k in np.unique(labels) if k))
seen, _, _ = redaction.redact(source, maps, None, policy)
show({"as it is": video[16], "what may leave": np.concatenate(list(seen.read(24)))[16]})
