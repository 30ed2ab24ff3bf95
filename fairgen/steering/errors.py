"""Errors of steering that callers can act on."""

from fairgen.errors import UserError


class SampledTogetherError(UserError):
    """A picture of strength 0 cannot be sampled beside steered ones: sample it in a call of its own."""
