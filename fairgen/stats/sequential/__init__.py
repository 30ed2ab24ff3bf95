"""Statements that hold at every moment of a stream, however often it is looked at.

* :class:`ShareBox`: the shares of readings that a declared target allows, exact or within the reader's error
  (:func:`reading_box`);
* :class:`EProcess`: evidence that a stream does not have such shares;
* :class:`ChangeProcess`: evidence that a stream changed, whatever its shares are;
* :func:`share_sequence`: intervals of the shares that hold at all moments together.

Conditions and simulations: docs/statistics.md.
"""

from fairgen.stats.sequential.box import ShareBox
from fairgen.stats.sequential.change import ChangeProcess, change_bins
from fairgen.stats.sequential.confidence import share_sequence
from fairgen.stats.sequential.eprocess import EProcess, Plan
from fairgen.stats.sequential.reader_error import reading_box

__all__ = [
    "ChangeProcess",
    "EProcess",
    "Plan",
    "ShareBox",
    "change_bins",
    "reading_box",
    "share_sequence",
]
