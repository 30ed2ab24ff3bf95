"""The loop that makes a set: ask, steer, sample, read, hand back, record."""
