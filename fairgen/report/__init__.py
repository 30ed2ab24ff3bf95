"""The report of a run: one self-contained HTML page, tables as CSV and Parquet, and every figure as JSON.

Everything is computed from the run folder, so that a report can be written again at any time.
"""

from fairgen.report.write import Written, write_report

__all__ = ["Written", "write_report"]
