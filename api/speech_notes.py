"""Why a question cannot be spoken here, or its answer is not: the same words wherever that is told."""

from utils.spoken_text import LONGEST_SPOKEN

NO_SPEECH_TO_TEXT = "Voice input is not set up here: STT_BASE_URL is not set, nor PROSA_STT_API_KEY."
NO_TEXT_TO_SPEECH = "Answers are not spoken here: TTS_BASE_URL is not set, nor PROSA_TTS_API_KEY."
ONLY_BEGINNING = f"Only the first {LONGEST_SPOKEN:,} characters are spoken."
