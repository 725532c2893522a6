"""Pictures of the systems' pages, from the bundled sample alone: python docs/images/systems_make.py

systems.jpg: a frame as each system shows it; policies_*.jpg: one example of each place's policy.
"""

from pathlib import Path

import cv2
import numpy as np

import semjax as sj
from semjax import stream as sm
from semjax.systems import causal, lgvsc, mirage, records, showing, sources
from semjax.systems.policies import NetworkPolicy, ReceiverPolicy, SenderPolicy
from semjax.systems.receiver import receive
from semjax.systems.redaction import let_out, redact

HERE, FPS, FRAMES, AT = Path(__file__).parent, 25, 64, 40
CONFIGS = {"mirage": mirage.SenderConfig(), "causal": causal.SenderConfig(), "lgvsc": lgvsc.SenderConfig()}


def clip():
    """Frames and label maps of the bundled sample's beginning."""
    sample = sj.sample_clip()
    return sj.read_video(sample.video_path)[:FRAMES], sj.read_labels(sample.labels_path)[:FRAMES]


def row(name: str, pictures: list[np.ndarray]) -> None:
    """Pictures side by side, 320 pixels wide each."""
    small = [cv2.resize(p, (320, 180), interpolation=cv2.INTER_AREA) for p in pictures]
    gap = np.full((180, 6, 3), 255, np.uint8)
    line = np.concatenate([part for p in small for part in (p, gap)][:-1], 1)
    cv2.imwrite(str(HERE / name), line[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def sent(frames, labels, cfg, policy=SenderPolicy()):
    """The stream of a clip under a sender's policy."""
    source = sources.frames_from_array(frames, FPS)
    source, maps, words = redact(source, sources.labels_from_array(labels, source.info), None, policy)
    pictures, maps = (np.concatenate(list(s.read(32))) for s in (source, maps))
    return let_out(sj.encode(pictures, labels=maps, captions=words, fps=FPS, cfg=cfg), policy)


def shown(stream, policy=ReceiverPolicy()):
    """The frame AT of a stream as a receiver with a policy shows it."""
    import jax

    parts = receive(showing.styled(stream, policy), sj.load_generator("none"), jax.random.key(0))
    return np.concatenate([p.frames for p in showing.shown(parts, policy)])[min(AT, stream.info.frames // 2)]


def main() -> None:
    """Make them all and print what they cost."""
    frames, labels = clip()
    streams = {name: sent(frames, labels, cfg) for name, cfg in CONFIGS.items()}
    row("systems.jpg", [frames[AT], *(shown(s) for s in streams.values())])
    size = frames[..., 0].size
    for name, stream in streams.items():
        data = sm.pack(stream)
        print(
            f"{name}: {len(data)} bytes, {8 * len(data) / size:.2e} bpp, {frames.nbytes / len(data):,.0f} times"
        )

    frames, labels = frames[AT - 16 : AT + 16], labels[AT - 16 : AT + 16]
    rate = causal.SenderConfig(bitrate=24_000, period=8)
    things = sorted(set(np.unique(labels[16])) - {0}, key=lambda k: -(labels[16] == k).sum())
    thing = int(things[0])
    hidden = [SenderPolicy(silhouettes=(thing,)), SenderPolicy(withheld=(thing,))]
    row(
        "policies_sender.jpg",
        [shown(sent(frames, labels, rate, p)) for p in (SenderPolicy(), *hidden)],
    )

    rich = sm.pack(sent(frames, labels, rate))
    pictures = []
    for bitrate in (24_000, 16_000, 8000):
        pruned = sm.prune(rich, NetworkPolicy(bitrate=bitrate).bitrate)
        left = sm.unpack(pruned)
        print(f"pruned to {bitrate}: {len(pruned)} bytes", {k: len(v) for k, v in left.units.items()})
        pictures.append(shown(left))
    row("policies_network.jpg", pictures)

    looks = ReceiverPolicy(looks=((thing, (200, 40, 40)),))
    base = sm.unpack(rich)
    small = cv2.resize(shown(base), (160, 90), interpolation=cv2.INTER_AREA)
    row(
        "policies_receiver.jpg",
        [shown(base), shown(base, looks), cv2.resize(small, (512, 288), interpolation=cv2.INTER_NEAREST)],
    )
    print("notices:", records.notices(sent(frames[:8], labels[:8], CONFIGS["mirage"], hidden[0])))


if __name__ == "__main__":
    main()
