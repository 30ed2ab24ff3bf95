"""An audit's pictures made by several processes, on this machine or on a Ray cluster."""
