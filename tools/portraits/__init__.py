"""Renders synthetic portraits of known skin albedo and trains fairgen's embedded model on them (developers
only).
"""
