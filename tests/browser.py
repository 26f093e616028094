"""The browser that pages are looked at in."""

import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: The first that is installed, None if none is.
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
