"""What a call says in a word beside its options, such as ``language="en"``: said in the options."""

from __future__ import annotations

from typing import Optional, Union

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.models import find_model
from realtime_sync.protocol.options import (
    InputTranscriptionOptions,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
)
from realtime_sync.protocol.registry import UNSET


def with_transcription(
    options: Optional[TranscriptionSessionOptions], model: Optional[str], language: Optional[str]
) -> Optional[TranscriptionSessionOptions]:
    """The options with this model and this language in place of their own; None leaves their own."""
    if model is None and language is None:
        return options
    options = options or TranscriptionSessionOptions()
    given = options.input_transcription_options or InputTranscriptionOptions()
    return attrs.evolve(options, input_transcription_options=transcribed_by(given, model, language))


def transcribed_by(
    options: InputTranscriptionOptions, model: Optional[str], language: Optional[str]
) -> InputTranscriptionOptions:
    """With this model and this language, which newer models take as one of ``languages`` alone."""
    model, language = model or options.model or None, language or options.language or None
    options = attrs.evolve(options, model=model or options.model, language=language or options.language)
    known = find_model(model)
    if language and known is not None and known.takes_languages:
        return attrs.evolve(options, language=UNSET, languages=[language])
    return options


def with_translation(
    options: Union[TranslationSessionOptions, str, None], target_language: Optional[str]
) -> Optional[TranslationSessionOptions]:
    """The options, or those that a language alone stands for, with this language. Raises InvalidInputError."""
    if isinstance(options, str):
        if target_language is not None:
            raise InvalidInputError("target_language was given twice: as the first argument and by name")
        options, target_language = None, options
    if target_language is None:
        return options
    if not target_language.strip():
        raise InvalidInputError("target_language is empty; name a language by its code, such as 'es'")
    return attrs.evolve(options or TranslationSessionOptions(), target_language=target_language)
