"""Watches pictures that a product serves, and says when they leave their declared target or change.

`Monitor` is the library; `fairgen monitor` feeds it from a folder, a run, or JSON lines.
"""

from fairgen.monitor.monitor import Monitor, Observed
from fairgen.monitor.store import Alarm

__all__ = ["Alarm", "Monitor", "Observed"]
