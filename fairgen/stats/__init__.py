"""How far a set is from its declared target, what chance alone would give, and how sure one can be.

Pure functions over counts (class -> number of pictures). Classes that a count leaves out count as 0. All
randomness is seeded. Which function may be used when:

* distances (:func:`total_variation` ...) describe the set that is there, however it came about;
* :func:`rarefied_tv` is the distance at a smaller size, for sets of unequal size, and
  :func:`paired_rarefied` compares such sets over prompts;
* :func:`noise_floor` and :func:`noise_band` say what a perfect *independent* sampler would get;
* :func:`simultaneous_intervals`, :func:`multinomial_test`, :func:`equivalence_test` and
  :func:`difference_test` are about the sampler behind the set and need independent draws: after feedback or
  retries they hold for the first pass only;
* :func:`bootstrap` with ``redraw_pictures=False`` carries the reader's uncertainty alone, for any set;
  :func:`redrawn_tv` does so draw by draw, so that many sets can be compared;
* :func:`bounded_mean_interval`, :func:`mean_interval` and :func:`paired_difference` take one value a prompt.

Formulas, conditions and simulations: docs/statistics.md.
"""

from fairgen.stats.across import MeanInterval, PairedDifference, mean_interval, paired_difference
from fairgen.stats.bounded import bounded_mean_interval
from fairgen.stats.difference import difference_test
from fairgen.stats.distances import (
    NoiseBand,
    alignment_error,
    central,
    fd,
    jensen_shannon,
    kl,
    noise_band,
    noise_floor,
    total_variation,
)
from fairgen.stats.holm import holm
from fairgen.stats.inference import (
    Bootstrap,
    bootstrap,
    equivalence_test,
    has_exact_test,
    multinomial_test,
)
from fairgen.stats.intervals import IntervalMethod, simultaneous_intervals
from fairgen.stats.rarefied import SetPair, common_size, paired_rarefied, rarefied_gaps, rarefied_tv
from fairgen.stats.redraw import redrawn_tv

__all__ = [
    "Bootstrap",
    "IntervalMethod",
    "MeanInterval",
    "NoiseBand",
    "PairedDifference",
    "SetPair",
    "alignment_error",
    "bootstrap",
    "bounded_mean_interval",
    "central",
    "common_size",
    "difference_test",
    "equivalence_test",
    "fd",
    "has_exact_test",
    "holm",
    "jensen_shannon",
    "kl",
    "mean_interval",
    "multinomial_test",
    "noise_band",
    "noise_floor",
    "paired_difference",
    "paired_rarefied",
    "rarefied_gaps",
    "rarefied_tv",
    "redrawn_tv",
    "simultaneous_intervals",
    "total_variation",
]
