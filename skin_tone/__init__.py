"""Reads the apparent skin tones of faces in pictures. Works on its own; see README.md in this folder."""

from .picture import PictureError
from .reader import SkinToneReader, ToneReading
from .scales import SCALES, Scale

__all__ = ["SCALES", "PictureError", "Scale", "SkinToneReader", "ToneReading"]
