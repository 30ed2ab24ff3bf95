"""Whether cited pages say what is quoted from them. Nothing is fetched before :func:`check_citations` (or
:func:`judge_citations`, which adds the reasons) is called: calling it is the user's leave.
"""

from fairgen.targets.citations.address import refuse_unless_public
from fairgen.targets.citations.check import Verdict, check_citations, judge_citations, pages_to_fetch
from fairgen.targets.citations.fetch import Fetcher, Page, Unreachable

__all__ = [
    "Fetcher",
    "Page",
    "Unreachable",
    "Verdict",
    "check_citations",
    "judge_citations",
    "pages_to_fetch",
    "refuse_unless_public",
]
