"""Watches pictures that a product serves, and says when they leave their declared target or change.

`Monitor` is the library; `fairgen monitor` feeds it from a folder, a run, or JSON lines.
"""

from fairgen.monitor.monitor import Alarm, Monitor, Observed

__all__ = ["Alarm", "Monitor", "Observed"]
