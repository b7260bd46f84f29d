"""GPT-Live: full-duplex sessions, in which the model listens while it speaks. ``session.py`` is the face."""
