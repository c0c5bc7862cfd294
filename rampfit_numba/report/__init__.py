"""Reports on fits, as HTML files that need nothing else: the extra ``report``.

Files
-----
content.py      what a report says
jump_counts.py  the jumps, in numbers
figures.py      its pictures
drawing.py      from matplotlib's figures to pieces of a page
page.py         the HTML
writing.py      whole or absent
static/         the pages' HTML and style

matplotlib and Jinja2 are imported when a report is made.
"""

from __future__ import annotations

from rampfit_numba.report.content import RunFacts
from rampfit_numba.report.page import IndexLine, check_extra, render_index
from rampfit_numba.report.writing import report_path, write_report

__all__ = ["IndexLine", "RunFacts", "check_extra", "render_index", "report_path", "write_report"]
