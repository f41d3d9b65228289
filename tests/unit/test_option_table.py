"""The table of pip's options in the documentation."""

from __future__ import annotations

from tests.lib.option_table import PAGE, render
from tests.lib.oracle import describe_options


def test_the_page_is_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == render(), "python -m tests.lib.option_table writes it anew"


def test_the_page_has_all_options_of_the_installed_pip():
    page = PAGE.read_text(encoding="utf-8")
    theirs = [spelling for each in describe_options()["i"] for spelling in each["spellings"]]
    assert theirs and [spelling for spelling in theirs if f"``{spelling}``" not in page] == []
