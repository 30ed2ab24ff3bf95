"""The tabs of the web app, one a file."""
