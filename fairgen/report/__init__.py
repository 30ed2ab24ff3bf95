"""The report of a run: one self-contained HTML page, a CSV of the pictures and a JSON summary.

Everything is computed from the run folder (`fairgen.runfile`), so that a report can be written again at any
time.
"""

from fairgen.report.write import Written, write_report

__all__ = ["Written", "write_report"]
