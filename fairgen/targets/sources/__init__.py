"""Where a spec comes from, one source a file."""
