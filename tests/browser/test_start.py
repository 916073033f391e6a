"""What a student sees first."""

from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")


def test_start_page_without_news(student: Any) -> None:
    """The command's address opens the start page; no pop-up asks about news or updates."""
    if not (student.lab.folder / "notebooks" / "00_start_here.ipynb").exists():
        pytest.skip("notebooks/00_start_here.ipynb is not written yet")
    student.open_start_page()
    student.page.locator(".jp-NotebookPanel").wait_for(timeout=60_000)
    assert student.page.url.split("?")[0].endswith("notebooks/00_start_here.ipynb")
    # The question comes a moment after the page is complete, if it comes.
    student.page.wait_for_timeout(1500)
    assert student.page.locator(".Toastify__toast").count() == 0
    student.screenshot("start")
    assert (student.outside, student.errors) == ([], [])
