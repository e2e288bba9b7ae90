"""Which variables a model endpoint comes from: messages name the one of its own, which may be unset."""

from dataclasses import replace

from bootstrap.checks.finding import Finding
from config import Settings

Names = dict[str, str]


def of_chat(settings: Settings) -> Names:
    """What to say instead of LLM_BASE_URL and LLM_API_KEY."""
    if settings.llm_base_url:
        return {}
    if settings.openrouter_api_key:
        names = {"LLM_BASE_URL": "that this machine reaches openrouter.ai", "LLM_API_KEY": "OPENROUTER_API_KEY"}
    else:
        names = _of_openai(settings, "LLM")
    return names | ({"LLM_API_KEY": "LLM_API_KEY"} if settings.llm_api_key else {})


def of_embeddings(settings: Settings) -> Names:
    """What to say instead of EMBEDDING_BASE_URL and EMBEDDING_API_KEY."""
    if settings.embedding_base_url:
        return {}
    own_key = {"EMBEDDING_API_KEY": "EMBEDDING_API_KEY"} if settings.embedding_api_key else {}
    return _of_openai(settings, "EMBEDDING") | own_key


def renamed(findings: list[Finding], names: Names) -> list[Finding]:
    """*findings* with what is to be done by the variables that are set."""

    def by_name(text: str) -> str:
        for name, instead in names.items():
            text = text.replace(name, instead)
        return text

    return [replace(finding, remedy=by_name(finding.remedy)) for finding in findings]


def _of_openai(settings: Settings, prefix: str) -> Names:
    where = "OPENAI_BASE_URL" if settings.openai_base_url else "that this machine reaches api.openai.com"
    return {f"{prefix}_BASE_URL": where, f"{prefix}_API_KEY": "OPENAI_API_KEY"}
