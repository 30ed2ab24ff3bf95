"""Where the shares of a spec may come from: the one list of sources.

A source that makes specs is one file in `fairgen.targets.sources`. Its name is what a spec's field ``source``
holds; the command line and the documents read name and sentence from here.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Source = Literal["uniform", "llm", "table", "user"]

SOURCES: Final[dict[Source, str]] = {
    "uniform": "uniform: each class alike",
    "llm": "a language model that was asked",
    "table": "a table of shares",
    "user": "by hand",
}
"""Name -> what it is, in a few words."""

assert set(SOURCES) == set(get_args(Source))
