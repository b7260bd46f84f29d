"""The vocabulary of GPT-Live (``/v1/live/sessions``): the same names as elsewhere mean other things here."""
