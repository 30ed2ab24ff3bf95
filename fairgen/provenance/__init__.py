"""What a picture says about how it was made: text, XMP, signed content credentials."""
