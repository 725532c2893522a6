"""Sheets on which a person can judge the chosen keyframes: `keyframe_sheets.py FOLDER --out docs/images/keyframes`.

FOLDER holds clips, at any depth (see `evaluation.clips.find_clips`). A sheet has the keyframes in a row, the score of
every frame against the keyframe before it over time, and the clip in a strip under it. Frames are drawn anew: each as
at most 40 areas of one flat colour, the outlines of the regions that the scorer saw in white. So no picture of a clip
is in its sheet; `--pictures` shows the frames themselves.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from evaluation.clips import find_clips, load
from PIL import Image, ImageDraw, ImageFont

WIDTH, STRIP, CURVE, AREAS = 960, 12, 90, 40
KEY, INK, GREY = (200, 30, 40), (30, 30, 30), (150, 150, 150)


def drawing(frame: np.ndarray, labels: np.ndarray, width: int) -> np.ndarray:
    """uint8 [h, width, 3]: a frame as flat areas in their mean colours, the outlines of its regions in white."""
    from semjax.semantics.partition import cells, merge_cells

    height = round(width * frame.shape[0] / frame.shape[1])
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cv2.bilateralFilter(small, 7, 30, 4), cv2.COLOR_RGB2LAB)
    area = merge_cells(lab, cells(lab, 6), most=AREAS, least_area=12, contrast=0.04)
    area = cv2.medianBlur(area.astype(np.uint8), 5)
    count = np.maximum(np.bincount(area.ravel(), minlength=256), 1)
    colour = np.stack(
        [np.bincount(area.ravel(), small[..., c].ravel(), minlength=256) / count for c in range(3)], 1
    )
    flat = colour[area].astype(np.uint8)
    maps = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    edge = np.zeros(maps.shape, bool)
    edge[:, 1:] |= maps[:, 1:] != maps[:, :-1]
    edge[1:] |= maps[1:] != maps[:-1]
    flat[edge] = 255
    return flat


def against_latest(keys: np.ndarray, count: int, score) -> np.ndarray:
    """Of each frame the score against the keyframe before it, -1 for the first."""
    before = [keys[np.searchsorted(keys, t) - 1] for t in range(1, count)]
    return np.array([-1.0, *(score(int(k), t) for t, k in enumerate(before, start=1))])


class _Page:
    """A sheet that grows downwards."""

    def __init__(self):
        self.image = Image.new("RGB", (WIDTH, 4000), "white")
        self.draw, self.y = ImageDraw.Draw(self.image), 8
        self.font, self.small = ImageFont.load_default(15), ImageFont.load_default(12)

    def text(self, x: int, words: str, font=None, fill=INK) -> None:
        self.draw.text((x, self.y), words, fill, font or self.font)

    def row(self, pictures: list[tuple[int, np.ndarray]], columns: int, marked) -> None:
        """At most `columns` pictures side by side with their frame numbers beneath, `marked` ones in red."""
        for i, (number, picture) in enumerate(pictures):
            x = i * (WIDTH // columns)
            fill = KEY if number in marked else INK
            self.image.paste(Image.fromarray(picture), (x, self.y))
            high, wide = picture.shape[:2]
            if number in marked:
                self.draw.rectangle((x, self.y, x + wide - 1, self.y + high - 1), outline=KEY, width=2)
            self.draw.text((x + 3, self.y + high + 2), str(number), fill, self.small)
        self.y += max(p.shape[0] for _, p in pictures) + 20

    def curve(self, values: np.ndarray, keys: np.ndarray, stride: int, threshold: float) -> None:
        """Scores -1..1 over time; candidates as dots, the threshold dashed, keyframes as red lines."""
        top, low = self.y, self.y + CURVE

        def at(t: float, value: float) -> tuple[float, float]:
            return (t + 0.5) * WIDTH / len(values), low - 4 - (value + 1) / 2 * (CURVE - 8)

        for x in range(0, WIDTH, 10):
            self.draw.line((x, at(0, threshold)[1], x + 5, at(0, threshold)[1]), GREY)
        self.draw.text((4, at(0, threshold)[1] - 14), f"{threshold:g}", GREY, self.small)
        for key in keys:
            self.draw.line((*at(key, -1), *at(key, 1)), KEY, 2)
        self.draw.line([at(t, v) for t, v in enumerate(values)], INK)
        for t in range(0, len(values), stride):
            x, y = at(t, values[t])
            self.draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=KEY if t in keys else INK)
        self.draw.rectangle((0, top, WIDTH - 1, low), outline=GREY)
        self.y = low + 6

    def save(self, path: Path) -> None:
        page = self.image.crop((0, 0, WIDTH, self.y + 4))
        page.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def sheet(name: str, video: np.ndarray, stride: int, pictures: bool) -> tuple[_Page, str]:
    """The sheet of one clip, and a line that says what was chosen."""
    from semjax import semantics

    labels = semantics.segment(video)
    cuts, cfg = list(semantics.scene_cuts(video)), semantics.SkemConfig(stride=stride)
    score = semantics.remembered(semantics.scorer(video, labels))
    keys = semantics.select(len(video), score, cfg, cuts=cuts)

    def shown(t: int, width: int) -> tuple[int, np.ndarray]:
        size = (width, round(width * video.shape[1] / video.shape[2]))
        return t, cv2.resize(video[t], size, interpolation=cv2.INTER_AREA) if pictures else drawing(
            video[t], labels[t], width
        )

    page, chosen = _Page(), ", ".join(map(str, keys))
    page.text(4, f"{name}: keyframes {chosen} of {len(video)} frames" + (f", cuts {cuts}" if cuts else ""))
    page.y += 24
    columns = 5 if video.shape[1] > 0.8 * video.shape[2] else min(max(len(keys), 3), 5)
    for i in range(0, len(keys), columns):
        page.row([shown(t, WIDTH // columns - 4) for t in keys[i : i + columns]], columns, keys)
    page.text(
        4,
        "score of each frame against the keyframe before it, candidates as dots; below, the clip",
        page.small,
    )
    page.y += 18
    page.curve(against_latest(keys, len(video), score), keys, stride, cfg.threshold)
    count = min(STRIP, len(video))
    times = [(2 * i + 1) * len(video) // (2 * count) for i in range(count)]
    page.row([shown(t, WIDTH // count - 2) for t in times], count, keys)
    return page, f"{name}: {len(video)} frames, keyframes {chosen}, cuts {cuts}"


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--stride", type=int, default=5, help="every so many frames is a candidate (0.2 s in LGVSC)"
    )
    parser.add_argument("--pictures", action="store_true", help="show the frames themselves")
    parser.add_argument("--only", nargs="*", default=[], help="names of clips")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for clip in find_clips(args.folder):
        name = clip.name.replace("/", "_")
        if args.only and name not in args.only:
            continue
        page, line = sheet(name, load(clip, labels=False).frames, args.stride, args.pictures)
        page.save(args.out / f"{name}.png")
        print(line, flush=True)


if __name__ == "__main__":
    main()
