"""The Django application: see ``app.py``."""
