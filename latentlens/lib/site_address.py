"""The address at which this installation answers, for commands that print a link to a page."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def site_address() -> str:
    """Scheme, host and port without a slash at the end: of the running `manage.py up`, or of the next one."""
    try:
        return _file().read_text("utf-8").strip()
    except OSError:
        return f"http://127.0.0.1:{settings.PORT or 8000}"


def note_site_address(address: str) -> None:
    _file().write_text(address + "\n", "utf-8")


def forget_site_address() -> None:
    _file().unlink(missing_ok=True)


def _file() -> Path:
    return Path(settings.DATA_DIR) / "address"
