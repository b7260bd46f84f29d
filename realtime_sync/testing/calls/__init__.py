"""A simulated caller: somebody who speaks, listens, interrupts and hangs up, for tests of applications.

sound      what is loud, and how long a moment is
clips      a text or a recording as samples to be said
steps      what a script is made of
ear        what comes to the caller's ear, cut into utterances
record     what the embedded server knows: words, tools
call       one call: a microphone and a speaker that a script moves
lines      a browser's socket and a telephone's stream in place of ``session.talk``
report     what happened, and assertions on it
picture    the report drawn
caller     ``SimulatedCaller``
"""
