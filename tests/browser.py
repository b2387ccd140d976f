"""Pages in a real browser, headless Chromium: a page fails its test by one error, one warning or one
request to anything but itself.

    pytestmark = NEEDS_A_BROWSER

    def test_a_page(browse):
        page = browse(file)                              # a page of Playwright, opened by file://
        page.get_by_role("button", name="Write").click()
        assert page.evaluate("1 + 1") == 2
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDS_A_BROWSER = [
    pytest.mark.skipif(
        find_spec("playwright") is None, reason="playwright is missing: pip install -e '.[browser]'"
    ),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt-get install chromium"),
]
WIDE, PHONE = 1400, 390  # pixels
# where screenshots are kept, to be looked at; without it they are made, and go with the test's directory
SCREENSHOTS = os.environ.get("MICROGPT_SCREENSHOTS")


@pytest.fixture(scope="module")
def chromium():
    """The browser, one for the tests of a file."""
    from playwright.sync_api import sync_playwright

    # root has no sandbox; a container's shared memory is too small for a browser
    options = ["--no-sandbox", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Browse:
    """browse(page, width=1400, dark=False) opens a file, or the text of one, and returns Playwright's page.

    wrong  errors and warnings on the console of any of its pages, and requests but for the page itself
    """

    def __init__(self, chromium, directory):
        self._chromium, self._directory, self._contexts, self.wrong = chromium, directory, [], []

    def __call__(self, page, *, width=WIDE, dark=False):
        file = page
        if isinstance(page, str):
            file = self._directory / f"page-{len(self._contexts)}.html"
            file.write_text(page, encoding="utf-8")
        address = Path(file).resolve().as_uri()
        context = self._chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",  # a test waits for nothing that only looks good
        )
        self._contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda said: self._note(said.text, said.type in ("error", "warning")))
        tab.on("pageerror", lambda error: self._note(str(error), True))
        tab.on("request", lambda to: self._note(to.url, to.url != address and not to.url.startswith("data:")))
        tab.goto(address)
        return tab

    def _note(self, what, is_wrong):
        if is_wrong:
            self.wrong.append(what)

    def close(self):
        for context in self._contexts:
            context.close()


@pytest.fixture
def browse(chromium, tmp_path):
    """A `Browse` whose pages must have nothing wrong by the end of the test."""
    opened = Browse(chromium, tmp_path)
    yield opened
    opened.close()
    assert not opened.wrong, opened.wrong


@pytest.fixture
def shoot(tmp_path):
    """shoot(page, name) takes a page's picture, wide and on a phone, light and dark: NAME-1400-light.png ...

    Nothing of the page may stick out at its side.
    """

    def taken(tab, name):
        directory = Path(SCREENSHOTS or tmp_path)
        directory.mkdir(parents=True, exist_ok=True)
        for width in (WIDE, PHONE):
            tab.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                tab.emulate_media(color_scheme=scheme)
                file = directory / f"{name}-{width}-{scheme}.png"
                tab.screenshot(path=file, full_page=True)
            needed = tab.evaluate("document.documentElement.scrollWidth")
            assert needed <= width, f"{name} needs {needed} pixels, and has {width}"

    return taken
