"""Spoken answers as WAV files that a browser plays while they are made: ``<audio src="/speech" autoplay>``."""

from __future__ import annotations

import functools
from collections.abc import Generator
from typing import Optional

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.wav import wav_header
from realtime_sync.checks import check_number
from realtime_sync.core.response import Audio, Response, decoded
from realtime_sync.web.streaming import AnswerStream, Closable, Reading

WAV_HEADERS = {
    "Content-Type": "audio/wav",
    # An answer is of this moment; no-transform: a proxy that compresses holds back what it has.
    "Cache-Control": "no-store, no-transform",
    # nginx gathers what an application says unless it is told not to.
    "X-Accel-Buffering": "no",
}
"""The headers of an answer that is made of ``wav_stream``."""


def wav_stream(
    response: Response, *, timeout: Optional[float] = 30.0, then_close: Optional[Closable] = None
) -> AnswerStream:
    """A spoken answer as a WAV file, to be returned from a view as it is.

    ::

        session = client.start_conversation_session()
        try:
            response = session.respond(question)
        except BaseException:
            session.close()
            raise
        return flask.Response(wav_stream(response, then_close=session), headers=WAV_HEADERS)

    Its header says that the length is not known, so the browser begins to play with the first samples. A browser that
    goes away cancels the answer. What goes wrong behind the first byte ends the connection: the file is cut, which a
    browser tells as an error of the element.

    Args:
        response: The answer, of a session whose output is 16-bit PCM, mu-law or A-law.
        timeout: Seconds to wait for each piece, then the stream ends with ``WaitTimeoutError``; None waits as long as
            the connection lives.
        then_close: The session, or an ``ExitStack`` that holds it, which is closed when the stream ends, in whatever
            way; None: nothing is.

    Returns:
        An iterator of bytes, and a context manager.

    Raises:
        InvalidInputError: ``timeout`` is no number of seconds above 0.
    """
    check_number("timeout", timeout, "seconds", above=0, optional=True)
    return AnswerStream(response, functools.partial(_pieces, timeout), then_close)


def _pieces(timeout: Optional[float], reading: Reading) -> Generator[bytes, None, None]:
    yield wav_header(SampleFormat.of(reading.response.answer().audio_format))
    yield from map(decoded, reading.pieces(Audio, timeout))
