"""Many prompts, several arms, one run folder: the batch audit."""
