"""Going on at another service when one is down: three small parts (circuit, failure detector, order), and their use.

The three know nothing of connections. ``verdict.py`` says which errors count, ``chain.py`` starts sessions, ``ways.py``
has a running session go on elsewhere. No thread: a service is looked at when somebody wants it.
"""
