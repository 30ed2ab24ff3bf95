"""Reads the apparent skin tones of faces in pictures. Stands alone; see README.md beside this file."""

from .picture import PictureError
from .reader import SkinToneReader, ToneReading
from .scales import SCALES, Scale

__all__ = ["SCALES", "PictureError", "Scale", "SkinToneReader", "ToneReading"]
