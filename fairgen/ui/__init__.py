"""The web app: Gradio blocks, thin over the library. Nothing is loaded or generated when this is imported."""
