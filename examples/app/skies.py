#!/usr/bin/env python3
"""Paints the four skies, with Chromium as the brush: needs playwright and its (or CHROMIUM's) browser.

Run only to change a picture (`python3 skies.py src/skies`): what it writes is committed.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

# name: sky from the top to the horizon, hills from the far to the near, the sun's place (of the height), stars
SKIES = {
    "night": ("#0b1026 #141b40 #232a5c #343a72", "#1c2350 #151b40 #0f1430 #0a0e24", None, 220),
    "twilight": ("#1f2858 #4a4a8a #a5628a #e98e6c", "#5b4a7e #433a69 #2d2a52 #1c1d3c", None, 40),
    "golden": ("#5b8fc0 #a9c0cf #f4d6a0 #fbb56a", "#c98f6c #9c6c5d #6d4d50 #443442", 0.47, 0),
    "day": ("#4f9ad6 #86bfe6 #bfe0f1 #eaf4f2", "#9cc3b4 #6fa38d #47806d #2b5d50", 0.24, 0),
}
BRUSH = """([sky, hills, sun, stars, width, height]) => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const c = canvas.getContext("2d");
  const fill = c.createLinearGradient(0, 0, 0, height * 0.86);
  sky.forEach((colour, at) => fill.addColorStop(at / (sky.length - 1), colour));
  c.fillStyle = fill;
  c.fillRect(0, 0, width, height);
  for (let n = 0; n < stars; n++) {
    c.fillStyle = `rgba(255,250,235,${0.15 + 0.7 * random() ** 2})`;
    c.beginPath();
    c.arc(random() * width, random() * height * 0.7, 0.5 + 1.1 * random() ** 3, 0, 7);
    c.fill();
  }
  if (sun !== null) {
    const [x, y] = [width * 0.71, height * sun];
    const glow = c.createRadialGradient(x, y, 0, x, y, height * 0.8);
    glow.addColorStop(0, "rgba(255,246,214,.85)");
    glow.addColorStop(0.12, "rgba(255,232,176,.42)");
    glow.addColorStop(1, "rgba(255,220,150,0)");
    c.fillStyle = glow;
    c.fillRect(0, 0, width, height);
    c.fillStyle = "#fffbe8";
    c.beginPath();
    c.arc(x, y, height * 0.062, 0, 7);
    c.fill();
  }
  hills.forEach((colour, at) => {
    const base = height * (0.66 + at * 0.095);
    const waves = [1, 2, 4, 7].map((n) => [n * (0.7 + random()), random() * 7, (height * 0.075) / n ** 1.1]);
    c.fillStyle = colour;
    c.beginPath();
    c.moveTo(0, height);
    const rise = (x) => ([n, phase, high]) => high * Math.sin((n * 6.283 * x) / width + phase);
    for (let x = 0; x <= width; x += 2) c.lineTo(x, base - waves.map(rise(x)).reduce((sum, part) => sum + part));
    c.lineTo(width, height);
    c.fill();
  });
  return canvas.toDataURL("image/webp", 0.84);
}"""


def main(folder: Path) -> None:
    """Each sky as WebP."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"])
        page = browser.new_page()
        for name, (sky, hills, sun, stars) in SKIES.items():
            picture = page.evaluate(BRUSH, [sky.split(), hills.split(), sun, stars, 1200, 480])
            (folder / f"{name}.webp").write_bytes(base64.b64decode(picture.partition(",")[2]))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
