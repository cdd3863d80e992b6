"""Reports: what a run, a hunt, a trace or a benchmark came to, as one HTML file, as a comparison of two, and for other viewers.

report_of_run(result) → Report → Document → write_page → one file → read_page
compare(a, b) → Comparison          to_perfetto(report), to_shiviz(report)
"""

from ._believed import Row as Row
from ._believed import belief_at as belief_at
from ._compare import compare as compare
from ._compare import comparison_lines as comparison_lines
from ._model import Comparison as Comparison
from ._model import Difference as Difference
from ._model import Document as Document
from ._model import Report as Report
from ._model import Table as Table
from ._model import Timeline as Timeline
from ._page import PageError as PageError
from ._page import read_page as read_page
from ._page import write_page as write_page
from ._perfetto import to_perfetto as to_perfetto
from ._reports import report_of_hunt as report_of_hunt
from ._reports import report_of_run as report_of_run
from ._reports import report_of_shrunk as report_of_shrunk
from ._reports import report_of_tables as report_of_tables
from ._reports import report_of_trace as report_of_trace
from ._reports import script_lines as script_lines
from ._shiviz import to_shiviz as to_shiviz
from ._timeline import timeline_of as timeline_of
