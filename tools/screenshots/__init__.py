"""Pictures of every tab of the web app, by day and night, on a desk and on a phone."""
