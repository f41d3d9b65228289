"""Writes ``docs/options.rst``, the table of pip's options: ``python -m tests.lib.option_table``."""

from __future__ import annotations

from pathlib import Path

from pip_accel._plan.options import OPTIONS, Option

__all__ = ["PAGE", "render"]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "options.rst"
HEAD = """\
Options of pip install
======================

All options that ``pip install`` has in pip 25.3 to 26.3, and who carries them out. This page is written by
``python -m tests.lib.option_table`` from the table that pip-accel reads its words by. A test compares that with the
options of the pip that is installed. An option of a later pip is not known: then pip gets the whole command.

``pip-accel`` means that it does what the option says, or gives it to the pip that it lets plan and download. ``pip``
means that pip does the whole run.

.. list-table::
   :header-rows: 1

   * - Option
     - Who
     - In requirement files
"""


def render() -> str:
    """The text of the page."""
    rows = [row for option in OPTIONS if "i" in option.commands for row in _row(option)]
    return HEAD + "\n".join(rows) + "\n"


def _row(option: Option) -> list[str]:
    spellings = ", ".join(f"``{spelling}``" for spelling in option.spellings.split())
    who = "pip-accel" if option.ours else "pip"
    if option.dest == "python":
        who = "pip-accel, before the command"
    if option.dest == "features_enabled":
        who = f"pip-accel: ``{option.check}``; pip: all other values"
    return [f"   * - {spellings}", f"     - {who}", f"     - {'yes' if 'f' in option.commands else ''}".rstrip()]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
