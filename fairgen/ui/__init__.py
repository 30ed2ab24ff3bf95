"""The web app: Gradio blocks, thin over the library. Nothing is loaded or generated when this is imported."""

from fairgen.ui.stubs import write_no_stubs

write_no_stubs()  # here, because every way to Gradio leads through this package
