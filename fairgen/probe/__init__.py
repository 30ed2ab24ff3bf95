"""Does the adviser answer the same when told that it is watched? See docs/oversight.md.

`fairgen.probe.target` asks for a target under several framings, `fairgen.probe.values` puts value conflicts,
`fairgen.probe.steering` looks inside a local model.
"""
