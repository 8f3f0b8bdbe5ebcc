"""Pictures of pages for the documentation, as WebP; made only where RIM_SHOTS names a folder.

Here lives making and keeping them. Not here: what is seen on them (the plays of tests/browser, at named moments).
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from playwright.sync_api import Page

# Playwright takes PNG or JPEG; the browser itself knows WebP, which is a third of the PNG
_WEBP = """async png => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const reader = new FileReader();
  reader.readAsDataURL(await canvas.convertToBlob({ type: "image/webp", quality: 0.86 }));
  await new Promise(done => reader.onload = done);
  return reader.result.split(",")[1];
}"""


def shot(page: Page, name: str) -> None:
    """Keep how the page looks now as NAME.webp, if pictures are wanted."""
    folder = os.environ.get("RIM_SHOTS")
    if not folder:
        return
    png = base64.b64encode(page.screenshot(animations="disabled")).decode()
    browser = page.context.browser
    assert browser is not None
    desk = browser.new_page()  # without the site's Content-Security-Policy, which forbids data:
    try:
        (Path(folder) / f"{name}.webp").write_bytes(base64.b64decode(desk.evaluate(_WEBP, png)))
    finally:
        desk.close()
