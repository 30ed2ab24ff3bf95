"""A bench for methods that mitigate skew: on a model whose bias is known, since it was built in on purpose.

* `load_known_bias`: the table beside a model's weights; `measured_bias`: what its pictures show beside it.
* `Task`, `Made`, `Method`: what a method is given, and what it returns.
* `BenchResult`: the result file; `load_result` checks one, `leaderboard` puts several into tables.

Commands: ``fairgen bench --help``. How to enter a method: docs/known-bias.md.
"""

from fairgen.bench.measured import MeasuredBias, measured_bias
from fairgen.bench.method import Made, Method, Task
from fairgen.bench.result import BenchResult, load_result, result_schema
from fairgen.bench.tables import bias_table, leaderboard
from fairgen.models.known_bias import KNOWN_BIAS_FILE, KnownBias, KnownBiasRow, ToneLaw, load_known_bias

__all__ = [
    "KNOWN_BIAS_FILE",
    "BenchResult",
    "KnownBias",
    "KnownBiasRow",
    "Made",
    "MeasuredBias",
    "Method",
    "Task",
    "ToneLaw",
    "bias_table",
    "leaderboard",
    "load_known_bias",
    "load_result",
    "measured_bias",
    "result_schema",
]
