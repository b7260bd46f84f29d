"""The service's side of GPT-Live (``/v1/live/sessions``), on the same server.

A session has a timeline that runs on audio alone (``clock.py``). What is heard, said and acknowledged is stamped with
milliseconds of it, and comes when the model's side of it has got so far (``session.py``).
"""
