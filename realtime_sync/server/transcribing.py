"""What a user's audio says: recognised once an item, on a thread of its own, and told to the client that asked."""

from __future__ import annotations

import functools
import logging
import re
from concurrent.futures import Future
from typing import TYPE_CHECKING, Sequence

from realtime_sync.server.audio_formats import RATES, to_pcm
from realtime_sync.server.items import Item
from realtime_sync.server.speech.protocols import Hints, Recognition, Word
from realtime_sync.server.usage import heard_tokens, text_tokens
from realtime_sync.server.wire import Json, new_id

if TYPE_CHECKING:
    from realtime_sync.server.session import ServerSession

_log = logging.getLogger("realtime_sync.server")
_PREFIX = "conversation.item.input_audio_transcription."
_LOGPROBS = "item.input_audio_transcription.logprobs"


def recognize(session: ServerSession, audio: bytes, audio_type: str) -> Future[Recognition]:
    """Begin to recognise audio of the session's input; an error of the recogniser is the future's."""
    future: Future[Recognition] = Future()
    hints = _hints(session.options)

    def work() -> None:
        pcm = to_pcm(audio, audio_type)
        try:
            future.set_result(session.settings.speech.recognizer.recognize(pcm, RATES[audio_type], hints))
        except Exception as error:  # user code; an error of this kind is what makes a transcription fail
            _log.debug("the recogniser failed", exc_info=True)
            future.set_exception(error)

    session.start_thread(work, "recognize")
    return future


def recognition_of(session: ServerSession, item: Item) -> Future[Recognition]:
    """The recognition of an item's audio, begun if it was not yet. Called under the session's lock."""
    if item.recognition is None:
        item.recognition = recognize(session, b"".join(item.audio.values()), item.audio_type)
    return item.recognition


def transcribe(session: ServerSession, item: Item) -> None:
    """Tell the client what the item says, once that is known, if it asked for it. Called under the lock."""
    options = session.options["audio"]["input"]["transcription"]
    if options is not None:
        model = str(options.get("model", ""))
        recognition_of(session, item).add_done_callback(functools.partial(_tell, session, item, model))


def _tell(session: ServerSession, item: Item, model: str, future: Future[Recognition]) -> None:
    head = {"item_id": item.id, "content_index": 0}
    error = future.exception()
    if error is not None:
        failure = {"type": "transcription_error", "code": "audio_unintelligible", "message": str(error)}
        session.emit({"type": _PREFIX + "failed", **head, "error": failure})
        return
    recognition = future.result()
    for delta, words in _deltas(recognition):
        told: Json = {"delta": delta, "obfuscation": new_id("", 12)[1:], **_logprobs(words)}
        session.emit({"type": _PREFIX + "delta", **head, **told})
    with session.lock:
        item.wire["content"][0]["transcript"] = recognition.text
        usage = _usage(model, recognition.text, item.audio_ms())
        told = {"transcript": recognition.text, "usage": usage, **_logprobs(recognition.words)}
        session.emit({"type": _PREFIX + "completed", **head, **told})


def _deltas(recognition: Recognition) -> list[tuple[str, Sequence[Word]]]:
    """The text in words; with their likelihoods, if the recogniser told them."""
    if recognition.words:
        first, *rest = recognition.words
        return [(first.text.lstrip(), [first]), *((word.text, [word]) for word in rest)]
    return [(word, ()) for word in re.findall(r"\s*\S+|\s+$", recognition.text)]


def _logprobs(words: Sequence[Word]) -> Json:
    """The field of the words' likelihoods, if they are known."""
    told = [{"token": word.text, "logprob": word.logprob, "bytes": list(word.text.encode())} for word in words]
    return {"logprobs": told} if told else {}


def _hints(options: Json) -> Hints:
    told = options["audio"]["input"].get("transcription") or {}
    prompt = ", ".join(filter(None, [told.get("prompt"), *(told.get("keywords") or ())])) or None
    language, *_ = told.get("languages") or [told.get("language")]
    return Hints(language, prompt, _LOGPROBS in (options.get("include") or ()))


def _usage(model: str, transcript: str, ms: int) -> Json:
    """Models of the family gpt-4o are billed by tokens, the others by the second."""
    if "gpt-4o" not in model:
        return {"type": "duration", "seconds": -(-ms // 1000)}
    heard, said = heard_tokens(ms), text_tokens(transcript)
    details = {"text_tokens": 0, "audio_tokens": heard}
    return {
        "type": "tokens",
        "total_tokens": heard + said,
        "input_tokens": heard,
        "input_token_details": details,
        "output_tokens": said,
    }
