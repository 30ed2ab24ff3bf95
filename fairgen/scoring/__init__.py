"""From counts to figures, in one place: a set, an arm, a group, a comparison, a folder of found pictures."""
