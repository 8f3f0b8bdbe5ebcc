#!/usr/bin/env python3
"""Paints the demo's pictures: paper reliefs, terraces of a warped distance field. Needs numpy and pillow.

Run only to change a picture (`python3 paint.py src/assets`): what it writes is committed, build.py takes it as it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

OVERSAMPLE = 2  # painted larger, then reduced: smooth rims
# name: seed, colours from the middle outwards, middle (x, y), warp, terraces, light falls from inside
PICTURES = {
    "atoll": (3, "0b2b3c 0f4a5c 17758a 2aa3a6 7fd3c1 f4e3b2 e8b878 3f7f5b 1f5a43", (0.54, 0.48), 0.16, 13, True),
    "crater": (11, "2a1216 5b1f23 9a3324 d3562b f08c3c f7c873 f3e6c9 cdbfae 8f8781", (0.46, 0.52), 0.13, 12, False),
    "iris": (21, "0b0a12 15122b 28306e 3763a8 55a0cf a4d8de e7efe0 f4d9a6 d79a5b", (0.5, 0.5), 0.10, 15, False),
    "growth": (33, "3b2417 6b4226 8f5b33 b98150 d8ab74 ebcf9f f5e6c6 cfae7f 7a5230", (0.40, 0.56), 0.12, 18, True),
    "lagoon": (47, "f6efe0 f2d8b3 e9a98b d0738a 8f5a9c 5a4a9a 35418a 1f2f63 121b3a", (0.58, 0.46), 0.18, 12, True),
    "moss": (59, "f3f0d8 d5dd9e 9fbf63 6a9a47 3f7340 27533b 1b3a34 142a2e 0d1b22", (0.47, 0.5), 0.19, 14, True),
}


def noise(rng: np.random.Generator, height: int, width: int, octaves: int, base: int) -> np.ndarray:
    """Smooth noise: grids of random heights, each twice as fine and half as high as the one before."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        n = base * 2**octave
        grid = rng.standard_normal((n + 3, int(n * width / height) + 3)).astype("float32")
        enlarged = Image.fromarray(grid).resize(
            (width + width // n * 2, height + height // n * 2), Image.Resampling.BICUBIC
        )
        total += np.asarray(enlarged)[height // n : height // n + height, width // n : width // n + width] / 2**octave
    return total / sum(1 / 2**octave for octave in range(octaves))


def paint(name: str, width: int, height: int) -> Image.Image:
    """One picture."""
    seed, colours, (cx, cy), warp, terraces, lit = PICTURES[name]
    rng = np.random.default_rng(seed)
    w, h = width * OVERSAMPLE, height * OVERSAMPLE
    y, x = np.mgrid[0:h, 0:w]
    x, y = (x / w - cx) * width / height, y / h - cy
    bend_x, bend_y, bumps = noise(rng, h, w, 4, 2), noise(rng, h, w, 4, 2), noise(rng, h, w, 3, 3)
    field = np.clip(np.hypot(x + warp * bend_x, y + warp * bend_y) / 0.95 + 0.10 * bumps, 0, 1.15) / 1.15
    step = np.floor(field * terraces)
    within = field * terraces - step  # 0 at a terrace's inner rim, 1 at its outer
    shade = 1 - 0.26 * np.exp(-(1 - within) / 0.16) if lit else 1 - 0.30 * np.exp(-within / 0.16)
    rim = 0.16 * np.exp(-within / 0.035) if lit else 0.18 * np.exp(-(1 - within) / 0.035)
    slope_y, slope_x = np.gradient(field)
    slope = (slope_x * -0.6 + slope_y * -0.8) / (np.hypot(slope_x, slope_y) + 1e-9)
    stops = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in colours.split()], float)
    at = np.clip((step + 0.5) / terraces, 0, 1)
    base = np.stack([np.interp(at, np.linspace(0, 1, len(stops)), stops[:, k]) for k in range(3)], -1)
    image = base * (shade * (1 + 0.05 * slope))[..., None]
    image += (255 - image) * np.clip(rim, 0, 1)[..., None] + rng.normal(0, 1.6, (h, w, 1))
    return Image.fromarray(np.clip(image, 0, 255).astype("uint8")).resize((width, height), Image.Resampling.LANCZOS)


def main(folder: Path) -> None:
    """Each picture as AVIF and WebP, and one large PNG that is longer than a block."""
    for name in PICTURES:
        picture = paint(name, 1200, 900)
        picture.save(folder / f"{name}.avif", quality=52, speed=2)
        picture.save(folder / f"{name}.webp", quality=72, method=6)
    paint("atoll", 1500, 1125).save(folder / "atoll.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
