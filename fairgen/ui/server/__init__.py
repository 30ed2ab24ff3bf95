"""The web app as a server: pages, files, endpoints, settings."""
