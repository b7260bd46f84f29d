"""The Flask application: see ``app.py``."""
