"""Every setting of the service, in one class. `make generated` writes it down as `.env.example` and tables.

Read once by an entry point (`app.py`, `wsgi.py`, the worker, `validate.py`) and turned into plain values there; nothing
else reads the environment. Names are those of the systems this service replaces: their `.env` files go on working.
"""

import grp
import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from utils.addresses import is_readable, is_this_machine
from utils.checkpointer.cipher import parse_keys
from utils.misspelt import find_misspelt, select_by_prefix
from utils.validation import describe_error

VERSION = "1.0.0"
RECORDS_FILE = "pustaka.db"  # in DATA_DIR, without a DATABASE_URI
SAMPLES = Path(__file__).resolve().parent / "samples"
SOURCES_FOLDER, UPLOADS_FOLDER = "data-sources", "uploaded-tables"  # in DATA_DIR, with a folder for each tenant
# A local endpoint often needs no key, but the client insists on one. A key goes to the endpoint it was given for only.
_NO_KEY = SecretStr("none")
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "redis+cluster://", "redis+sentinel://")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]{{0,30}}+://({_HOST.pattern})(:[0-9]+)?")
_NO_ADDRESS = "is not an address; percent-encode the / : @ # and ? of its password"
_LARGEST_FILE = 1_000_000  # bytes of a file of settings
_LONGEST_SHOWN = 200  # characters of a wrong value
SHORTEST_KEY = 16
MAKE_KEY = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
_PROSA_STT_URL = "wss://asr-api.prosa.ai/v2/speech/stt/streaming"
_PROSA_TTS_URL = "wss://tts-api.prosa.ai/v2/speech/tts/streaming"
_NO_EFFECT: JsonDict = {"no_effect": True}
ENV_FILE = "PUSTAKA_ENV_FILE"
_OF_THE_PAGE = ("API_URL",)  # read by the chat page alone


class SettingsError(Exception):
    """A setting has a value that cannot be used; the message names it, what it accepts, and never a secret."""


class SettingsFileError(SettingsError):
    """The file of the settings cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint: where it is, what opens it, which model to ask."""

    base_url: str
    api_key: SecretStr
    model: str


@dataclass(frozen=True, slots=True)
class MisspeltVariable:
    """A variable that is set and not known, like one that is: its name, where it stands, and that one."""

    name: str
    where: str
    meant: str


class Settings(BaseSettings):
    """What can be configured, by variable name; an empty value counts as not set."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A file that is named by PUSTAKA_ENV_FILE wins over the environment, as systemd's EnvironmentFile= does."""
        if os.environ.get(ENV_FILE):
            return init_settings, dotenv_settings, env_settings
        return init_settings, env_settings, dotenv_settings

    # --- Who may ask
    api_key: SecretStr | None = Field(
        None, description="The key of the API, 16 characters or more. Unset: one is made at the first start."
    )
    institution: str = Field("", max_length=200, description="The institution's name, as prompts and pages call it.")
    language_policy: str = Field(
        "Answer in the language of the question.", max_length=1000, description="One sentence for the model."
    )

    # --- Servers
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. Alias API_HOST.",
        validation_alias=AliasChoices("HOST", "API_HOST"),
    )
    port: int = Field(
        8000,
        ge=1,
        le=65535,
        description="Port of the API. Alias API_PORT.",
        validation_alias=AliasChoices("PORT", "API_PORT"),
    )
    ssl_cert_path: Path | None = Field(
        None,
        description="Certificate (PEM, its chain behind it) to serve HTTPS with; unset: HTTP, for a proxy with TLS in "
        "front. With SSL_KEY_PATH.",
    )
    ssl_key_path: Path | None = Field(None, description="Its private key (PEM), without a passphrase.")
    streamlit_port: int = Field(8501, ge=1, le=65535, description="Port of the chat page.")
    streamlit_enabled: bool = Field(True, description="Start the chat page beside the API.")
    workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Processes under gunicorn. Alias WEB_CONCURRENCY. Unset: CPU*2+1 as memory allows, 1 if embedded.",
        validation_alias=AliasChoices("WORKERS", "WEB_CONCURRENCY"),
    )
    forwarded_allow_ips: Annotated[list[str], NoDecode] = Field(
        [],
        description="Proxies whose X-Forwarded-* headers are believed: addresses or networks, with commas.",
    )
    data_dir: Path = Field(Path("data"), description="Folder that holds everything the service keeps.")
    disk_reserve_mb: int = Field(
        500,
        ge=20,
        le=1_000_000,
        description="Megabytes kept free where DATA_DIR is. Below them no documents are taken; below half of them no "
        "questions are answered, where the embedded Redis keeps them.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    flask_env: Literal["production", "prod", "development", "testing"] = Field(
        "production", description="Deployment environment, as shown in /health?verbose."
    )
    sentry_dsn: SecretStr | None = Field(
        None, description="Sentry: where errors are reported. Needs the package sentry-sdk. Unset: nowhere."
    )
    flask_debug: bool = Field(False, description="Flask's debug mode. Never on a server others can reach.")

    # --- Metrics
    prometheus_enabled: bool = Field(False, description="Serve metrics for Prometheus on METRICS_PORT.")
    metrics_host: str = Field(
        "127.0.0.1", description="Address that the metrics are served on, to whoever reaches it: there is no key."
    )
    metrics_port: int = Field(
        9090, ge=1, le=65535, description="Port of the metrics, for all processes together, without a key."
    )
    prometheus_multiproc_dir: Path | None = Field(
        None, description="Folder in which the processes of this machine count together. Unset: in DATA_DIR."
    )

    # --- OpenTelemetry: traces of turns, without what people wrote
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="Collector that traces are sent to by OTLP over HTTP, such as http://localhost:4318."
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers it wants, such as a key: name=value,name=value."
    )
    otel_service_name: str = Field("pustaka", max_length=200, description="What traces call this service.")
    otel_traces_sampler_arg: float = Field(1.0, ge=0, le=1, description="Share of turns that are traced.")

    # --- Chat page
    chat_title: str | None = Field(None, max_length=200, description="Title of the chat page. Unset: INSTITUTION.")
    chat_logo: str | None = Field(
        None, max_length=2000, description="Logo of the chat page: a file or an https address."
    )
    local_history: Literal["on", "session", "off"] = Field(
        "on",
        description="Whether a visitor's browser lists past conversations: on, until the tab is closed (session), or "
        "not at all (off), for computers that several people use.",
    )
    chat_login: Literal["off", "optional", "required"] = Field(
        "off", description="Sign-in to the chat page by OpenID Connect: none, for who wants to, or for everybody."
    )
    chat_url: str | None = Field(
        None,
        max_length=2000,
        pattern=r"^https?://[^/?#]+/?$",
        description="Address of the chat page as browsers reach it; the provider must know it with /oauth2callback.",
    )
    oidc_issuer: str | None = Field(
        None,
        max_length=2000,
        pattern=r"^https?://",
        description="Provider that visitors sign in with: its address, without /.well-known/openid-configuration.",
    )
    oidc_client_id: str | None = Field(
        None, max_length=500, description="Client id of the chat page at the OIDC provider."
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="Client secret of the chat page at the OIDC provider."
    )
    chat_page_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="A key for a chat page that is started by itself. Its visitors are limited one by one.",
    )

    # --- Links to documents
    public_url: str | None = Field(
        None,
        max_length=2000,
        description="Address of the API as browsers reach it, for links to documents. Unset: that of each request.",
    )
    link_ttl: int = Field(
        86_400, ge=1, le=31_536_000, description="Seconds a link to a document opens it without a key."
    )
    document_links: Literal["off", "quote", "full"] = Field(
        "full",
        description="What such a link opens: the document and its file, the quote with some context, or nothing (off). "
        "A dataset may say otherwise.",
    )
    link_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Signs links to documents, and tokens of visitors of websites; the same for all machines that "
        "serve. Unset: one is made in DATA_DIR.",
    )

    # --- Limits
    rate_limit_enabled: bool = Field(True, description="Limit requests per key.")
    rate_limit_per_hour: int = Field(100, ge=1, le=10_000_000, description="Requests a key may make in an hour.")
    visitor_questions_per_minute: int = Field(
        10, ge=1, description="Questions a visitor of the chat page or a website may ask in a minute."
    )
    visitor_questions_per_day: int = Field(
        200, ge=1, description="Questions a visitor of the chat page or a website may ask in a day."
    )
    visitor_tokens_per_day: int = Field(
        300_000, ge=1, description="Tokens that answers to one visitor may cost in a day; the last answer is finished."
    )
    address_questions_per_minute: int = Field(
        60, ge=1, description="Questions that all visitors from one address may ask in a minute."
    )
    address_questions_per_day: int = Field(
        2000, ge=1, description="Questions that all visitors from one address may ask in a day."
    )
    visitor_files_per_day: int = Field(
        20, ge=1, description="Files a visitor of the chat page or a website may attach in a day."
    )
    address_files_per_day: int = Field(
        200, ge=1, description="Files that all visitors from one address may attach in a day."
    )
    address_tokens_per_day: int = Field(
        3_000_000, ge=1, description="Tokens that answers to all visitors from one address may cost in a day."
    )
    address_requests_per_minute: int = Field(
        1200, ge=1, description="Requests of any kind for visitors from one address in a minute."
    )
    link_requests_per_hour: int = Field(
        2000, ge=1, description="Documents and pages that one address may open by links in an hour."
    )
    tenant_link_requests_per_hour: int = Field(
        20_000, ge=1, description="Documents and pages of one tenant that may be opened by links in an hour."
    )
    max_content_length: int = Field(
        16_777_216, ge=1024, description="Largest request body, in bytes; 1 MiB where it holds no document."
    )
    max_body_memory: int = Field(
        268_435_456,
        ge=1_048_576,
        description="Bytes of request bodies a process holds at once, half of them of one tenant; 503 beyond.",
    )
    max_concurrent_requests: int = Field(
        5000, ge=1, le=100_000, description="Requests a process serves at once, open streams included; 503 beyond."
    )
    max_concurrent_turns: int = Field(1500, ge=1, le=100_000, description="Turns a process runs at once.")
    max_waiting_turns: int = Field(
        500, ge=0, le=100_000, description="Turns that may wait in a process, for up to 5 s; 503 beyond."
    )
    max_requests_per_key: int = Field(
        2500, ge=1, le=100_000, description="Requests of one key a process serves at once; 429 beyond."
    )
    max_turns_per_key: int = Field(
        1000, ge=1, le=100_000, description="Turns of one key that run or wait in a process; 429 beyond."
    )
    max_file_size: int = Field(52_428_800, ge=1024, le=2_000_000_000, description="Largest document, in bytes.")
    max_upload_size: int = Field(
        262_144_000, ge=1024, le=4_000_000_000, description="Largest upload, all its files together, in bytes."
    )
    cors_origins: Annotated[list[str], NoDecode] = Field(
        ["*"],
        description="Websites whose pages may call from a browser, with commas: https://example.org, or "
        "https://*.example.org for all below it.",
    )
    trusted_hosts: Annotated[list[str], NoDecode] = Field(
        [],
        description="Names the service goes by, with commas: example.org, *.example.org, an address. Requests for "
        "others get 400, but for /health and /ready. localhost, 127.0.0.1 and [::1] are always allowed. Unset: any.",
    )

    # --- Conversations
    redis_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey: redis://, rediss:// (TLS), unix://, redis+cluster:// or redis+sentinel://. "
        "Unset: one is started in DATA_DIR.",
    )
    redis_host: str | None = Field(None, description="Host of Redis, instead of REDIS_URL.")
    redis_port: int = Field(6379, ge=1, le=65535, description="Port of REDIS_HOST.")
    redis_db: int = Field(0, ge=0, description="Database number at REDIS_HOST.")
    redis_username: str | None = Field(None, description="ACL user at REDIS_HOST.")
    redis_password: SecretStr | None = Field(None, description="Password at REDIS_HOST.")
    redis_tls: bool = Field(False, description="Whether REDIS_HOST speaks TLS.")
    allow_memory_fallback: bool = Field(
        False,
        description="Stay ready while Redis is away although several processes serve, each with a memory of its own.",
    )
    conversation_ttl: int = Field(86_400, ge=1, description="Seconds a conversation is kept after its last use.")
    conversation_wait: float = Field(
        20, ge=0, le=600, description="Seconds a message waits for the one before it in its conversation; then 409."
    )
    run_ttl: int = Field(
        900, ge=10, le=86_400, description="Seconds the events of an answer are kept, to be followed again."
    )
    graceful_timeout: int = Field(
        30, ge=3, le=3600, description="Seconds that answers under way may take when the service is told to stop."
    )
    run_lease: float = Field(
        15,
        ge=1,
        le=300,
        description="Seconds without a sign of life after which another worker goes on with an answer.",
    )
    checkpoints_kept: int = Field(
        50, ge=1, description="Checkpoints kept of each conversation, about five a turn; messages stay in any case."
    )
    state_encryption_keys: SecretStr | None = Field(
        None,
        description="Encrypt conversations in Redis, ratings, keys of models, data sources and secrets of webhooks in "
        "SQL: name:key, keys from `openssl rand -base64 32`. To rotate, put the new one first: name:key,older:key. "
        "Unset: not encrypted, and such keys and data sources cannot be stored.",
    )
    transcript_retention_days: float | None = Field(
        None,
        ge=0,
        le=36_500,
        description="Days a conversation is kept in SQL after its last use, to be listed, searched and gone on with. "
        "0: nothing is. A tenant may have its own. Unset: as long as CONVERSATION_TTL.",
    )
    conversation_undo: int = Field(
        60, ge=0, le=86_400, description="Seconds in which a deleted conversation can be restored. 0: never."
    )
    conversation_files: int = Field(
        0,
        ge=0,
        le=20,
        description="Files that people may attach to a conversation, to be answered from in it alone. 0: none.",
    )
    conversation_file_size: int = Field(
        10_485_760, ge=1024, le=100_000_000, description="Largest file that is attached to a conversation, in bytes."
    )
    conversation_sharing: Literal["off", "quotes", "sources"] = Field(
        "off",
        description="Whether people may share a conversation by a link, which shows it to whoever has it: with the "
        "quotes of its answers, or also with links to their documents (sources), which open what DOCUMENT_LINKS says.",
    )
    share_days: float = Field(30, gt=0, le=365, description="Days that a link to a conversation shows it, at most.")
    ratings_keep_days: float = Field(
        365, gt=0, le=36_500, description="Days that ratings of answers are kept, with question and answer."
    )

    # --- What each tenant may have
    tenant_max_documents: int = Field(
        20_000, ge=1, description="Documents a tenant may keep, including those loaded with `flask load`."
    )
    tenant_max_bytes: int = Field(
        20_000_000_000, ge=1024, description="Bytes of files a tenant may keep, former versions of documents included."
    )
    tenant_max_pages_per_day: int = Field(
        50_000, ge=1, description="Pages a tenant may have read a day (UTC); without pages, 3,000 characters are one."
    )
    tenant_max_queued_jobs: int = Field(
        10_000, ge=1, description="Documents of a tenant that may wait to be read at a time."
    )
    tenant_max_result_bytes: int = Field(
        1_000_000_000,
        ge=1024,
        description="Bytes that a tenant may keep of files with the rows of large results of queries and of files that "
        "are attached to conversations: those of conversations that were not used for the longest time are deleted "
        "first.",
    )

    # --- Documents and index
    knowledge_dir: Path | None = Field(
        None,
        description="Folder loaded at every start. Unset: the sample documents, until there are documents, a Redis, a "
        "database or a Qdrant of your own. `samples` keeps them.",
    )
    document_versions_kept: int = Field(
        3, ge=0, le=1000, description="Replaced versions of a document kept, so that citations of them still open."
    )
    chunk_tokens: int = Field(
        220, ge=60, le=1000, description="Target size of passages in tokens. A change builds another index first."
    )
    chunk_max_tokens: int = Field(400, ge=60, le=2000, description="Maximum size of a passage, in estimated tokens.")
    ocr_enabled: bool = Field(True, description="Recognise the text of scanned pages and pictures (OCR).")
    sandbox_required: bool = Field(
        False, description="Refuse to start where a wall of the sandbox that reads files is missing."
    )
    ingestion_workers: int = Field(
        1,
        ge=0,
        le=64,
        description="Documents read at once, by one process of the service; one more worker reads small files alone. "
        "0: by `celery -A worker worker` alone.",
    )
    clamd_address: str | None = Field(
        None,
        description="ClamAV's clamd, which looks at every file before it is read: unix:///run/clamav/clamd.ctl or "
        "tcp://host:3310. Unset: files are not looked at.",
    )
    scanner_required: bool = Field(
        True, description="Read no file while clamd does not answer. False: read it, and note that nobody looked at it."
    )
    ingestion_lease: float = Field(
        15,
        ge=1,
        le=300,
        description="Seconds without a sign of life after which another one goes on with a document or a crawl.",
    )
    celery_broker_url: SecretStr | None = Field(
        None, description="Redis that wakes Celery workers, if it is not REDIS_URL; not a cluster."
    )
    database_uri: SecretStr | None = Field(
        None,
        description="SQL database. Unset: SQLite in DATA_DIR. Alias SQLALCHEMY_DATABASE_URI.",
        validation_alias=AliasChoices("DATABASE_URI", "SQLALCHEMY_DATABASE_URI"),
    )
    db_pool_size: int = Field(
        20,
        ge=1,
        le=1000,
        description="Connections a process may open to a database server. Alias DATABASE_POOL_SIZE.",
        validation_alias=AliasChoices("DB_POOL_SIZE", "DATABASE_POOL_SIZE"),
    )
    qdrant_url: str | None = Field(None, description="Qdrant server. Unset: its engine runs in this process.")
    qdrant_api_key: SecretStr | None = Field(None, description="Key of the Qdrant server.")
    qdrant_collection_name: str = Field(
        "informasi-umum-itb", pattern=r"^[A-Za-z0-9_-]{1,128}$", description="Name of the collection."
    )
    index_keep_days: float = Field(
        7, ge=0, le=3650, description="Days a former index is kept to go back to, after another took its place."
    )
    conflict_scan: bool = Field(
        True, description="Compare documents with each other, in the background, for what they say differently."
    )
    conflict_scan_delay: float = Field(
        10, ge=0, le=86_400, description="Seconds without other work on documents before they are compared."
    )
    top_k: int = Field(6, ge=1, le=20, description="Passages that quotes are chosen from for one answer.")
    model_top_k: int = Field(
        12,
        ge=1,
        le=20,
        description="Passages a language model is shown: the first TOP_K, and more while all have at most 5,000 "
        "characters. A bot's own top_k replaces both.",
    )

    # --- Web sources: pages and sites that are read from the web
    crawl_concurrency: int = Field(2, ge=0, le=16, description="Web sources read at once. 0: none are.")
    crawl_delay: float = Field(
        1.0, ge=0, le=60, description="Least seconds between two requests to a host; robots.txt may ask for more."
    )
    crawl_max_pages: int = Field(
        2000, ge=1, le=20_000, description="Pages of a web source at most, whatever its owner asks for."
    )
    crawl_user_agent: str = Field(
        "Pustaka/1.0",
        pattern=r"^[A-Za-z_-]{1,40}(/[\x21-\x7e]{1,40})?( [\x20-\x7e]{1,200})?$",
        description="What it calls itself: a name, for which robots.txt may have rules, a version, your address.",
    )
    crawl_networks: Annotated[list[str], NoDecode] = Field(
        [],
        description="Private addresses or networks that web sources may be on, with commas. Unset: public ones alone.",
    )
    crawl_ports: Annotated[list[int], NoDecode] = Field(
        [80, 443], description="Ports that web sources may be on, with commas."
    )

    # --- Data sources: databases of tenants
    data_source_dir: Path | None = Field(
        None,
        description="Folder with a folder for each tenant, by its name, of the SQLite files that it may have as data "
        "sources. Unset: `data-sources` in DATA_DIR, where the service starts a store itself; else none may have any.",
    )
    data_source_networks: Annotated[list[str], NoDecode] = Field(
        [],
        description="Private addresses or networks that databases of tenants may be on, with commas. Unset: public "
        "ones alone.",
    )
    chat_docs_dir: Path | None = Field(
        None,
        description="Folder with the rows of large results of queries, one file for each conversation, and with files "
        "that are attached to conversations; shared by all machines that serve. Unset: `chat_docs` in DATA_DIR.",
    )
    max_sql_retries: int = Field(
        3, ge=0, le=10, description="Times that a language model may repair a query to a data source that failed."
    )
    head_rows: int = Field(5, ge=1, le=100, description="Rows of a query's result that a language model is shown.")

    # --- Models
    openai_api_key: SecretStr | None = Field(None, description="OpenAI: embeddings, and chat unless set otherwise.")
    openai_base_url: str | None = Field(None, description="Any compatible endpoint, for chat and embeddings.")
    openrouter_api_key: SecretStr | None = Field(None, description="OpenRouter: chat.")
    llm_base_url: str | None = Field(None, description="Endpoint of the chat model alone.")
    llm_api_key: SecretStr | None = Field(None, description="Its key.")
    llm_model: str | None = Field(
        None,
        description="Chat model. Alias OPENAI_MODEL_CHAT.",
        validation_alias=AliasChoices("LLM_MODEL", "OPENAI_MODEL_CHAT"),
    )
    llm_fallback_model: str | None = Field(None, description="Chat model asked when the first does not answer.")
    llm_timeout: float = Field(60, gt=0, le=600, description="Seconds to wait for the chat model.")
    llm_max_retries: int = Field(
        2, ge=0, le=10, description="Tries after the first, for 429, 5xx and lost connections."
    )
    llm_retry_after: float = Field(
        10,
        ge=0,
        le=3600,
        description="Seconds until a chat model that is away is asked again; answers are quotes meanwhile.",
    )
    llm_temperature: float = Field(0.2, ge=0, le=2, description="Sampling temperature of the chat model.")
    model_networks: Annotated[list[str], NoDecode] = Field(
        [],
        description="Private addresses or networks that tenants' own models may be on, with commas. Unset: public ones "
        "alone.",
    )
    openai_max_concurrent: int = Field(
        1000, ge=1, le=4096, description="Calls a process makes at once to the chat model, and to the embedding model."
    )
    model_queue_timeout: float = Field(
        30, gt=0, le=600, description="Seconds a call of either may wait for its turn; then 503, or a search by words."
    )
    unsupported_sentences: Literal["mark", "drop", "refuse"] = Field(
        "mark",
        description="What becomes of sentences that their source does not support: said of each, left out, or no "
        "answer at all. With drop and refuse they are never shown, and answers come in sentences or whole.",
    )
    verify_judge: bool = Field(
        False, description="Let the chat model judge sentences that the other checks leave open: one more call."
    )
    verify_model_path: Path | None = Field(
        None,
        description="Folder of a model for entailment (model.onnx, tokenizer.json, config.json), which reads each "
        "sentence with the passages that it cites. Unset: none does.",
    )
    verify_model_languages: Annotated[list[str], NoDecode] = Field(
        ["en"], description="Languages of passages that it knows, as en,es; * for all."
    )
    verify_model_threshold: float = Field(
        0.5, ge=0.5, lt=1, description="How sure it must be, 0.5 to 1; what is less certain stays undecided."
    )
    embedding_provider: Literal["auto", "embedded", "openai"] = Field(
        "auto", description="auto: OpenAI-compatible where configured, else the model that comes with the service."
    )
    embedding_base_url: str | None = Field(None, description="Endpoint of the embedding model alone.")
    embedding_api_key: SecretStr | None = Field(None, description="Its key.")
    embedding_model: str | None = Field(None, description="Embedding model. Unset: text-embedding-3-small there.")
    previous_embedding_api_key: SecretStr | None = Field(
        None, description="Key of the embedding model used before, at another address, while its index still serves."
    )
    embedding_dimension: int | None = Field(None, ge=2, le=8192, description="Its dimension. Unset: measured.")
    rerank_base_url: str | None = Field(
        None, description="Endpoint of a reranker with Cohere's wire format, before /rerank. Unset: none is asked."
    )
    rerank_api_key: SecretStr | None = Field(None, description="Its key.")
    rerank_model: str | None = Field(None, max_length=200, description="Its model, such as rerank-v3.5.")
    rerank_timeout: float = Field(
        3, gt=0, le=60, description="Seconds to wait for it; then passages stay in the order of the search."
    )

    # --- Voice: see docs/voice.md
    stt_base_url: str | None = Field(
        None, description="OpenAI-compatible endpoint before /audio/transcriptions. Unset: recordings are not taken."
    )
    stt_api_key: SecretStr | None = Field(None, description="Its key.")
    stt_model: str = Field("whisper-1", min_length=1, max_length=200, description="Its model.")
    stt_timeout: float = Field(30, gt=0, le=600, description="Seconds to wait for a transcript, with retries.")
    tts_base_url: str | None = Field(
        None, description="OpenAI-compatible endpoint before /audio/speech. Unset: answers are not spoken."
    )
    tts_api_key: SecretStr | None = Field(None, description="Its key.")
    tts_model: str = Field("tts-1", min_length=1, max_length=200, description="Its model.")
    tts_voice: str = Field("alloy", min_length=1, max_length=200, description="Its voice.")
    tts_timeout: float = Field(30, gt=0, le=600, description="Seconds to wait for speech, with retries.")
    prosa_stt_api_key: SecretStr | None = Field(
        None, description="Key of Prosa's speech to text, in place of STT_BASE_URL. Unset: Prosa transcribes nothing."
    )
    prosa_stt_url: str = Field(_PROSA_STT_URL, description="Its address, with wss://.")
    prosa_stt_model: str = Field("asr-general-online", min_length=1, max_length=200, description="Its model.")
    prosa_tts_api_key: SecretStr | None = Field(
        None, description="Key of Prosa's text to speech, in place of TTS_BASE_URL. Unset: Prosa speaks nothing."
    )
    prosa_tts_url: str = Field(_PROSA_TTS_URL, description="Its address, with wss://.")
    prosa_tts_model: str = Field(
        "tts-ghifari-professional", min_length=1, max_length=200, description="Its model, which is a voice."
    )
    prosa_tts_sample_rate: int = Field(8000, ge=8000, le=48_000, description="Samples a second of its speech.")
    voice_emotion: Literal["off", "on"] = Field(
        "off",
        description="on: the emotion of who speaks is told from recordings, by EMOTION_ANALYSIS_URL. Forbidden at work "
        "and in education in the EU.",
    )
    text_emotion: Literal["on", "off"] = Field(
        "on",
        description="on: the emotion of who asks is told from the words of spoken questions, by the embedding model; "
        "not where VOICE_EMOTION=on has it told from recordings.",
    )
    emotion_analysis_url: str | None = Field(
        None, description="Service that tells emotions, before /predict. Asked only with VOICE_EMOTION=on."
    )
    emotion_timeout: float = Field(
        30, gt=0, le=600, description="Seconds to wait for it, with retries; then the answer goes without."
    )

    # --- Cache: in each process, by tenant
    cache_enabled: bool = Field(
        False, description="Answer a first question that was asked before, over the same documents, as it was then."
    )
    cache_size: int = Field(1000, ge=1, le=1_000_000, description="Answers a process keeps, and vectors of questions.")
    cache_ttl: int = Field(3600, ge=1, le=31_536_000, description="Seconds they are kept.")

    # --- LangSmith: when it is on, whole conversations are sent to it
    langchain_tracing_v2: bool = Field(
        False,
        description="Send every turn to LangSmith, questions and answers included. Alias LANGSMITH_TRACING.",
        validation_alias=AliasChoices("LANGCHAIN_TRACING_V2", "LANGSMITH_TRACING"),
    )
    langchain_api_key: SecretStr | None = Field(
        None,
        description="Key of LangSmith. Alias LANGSMITH_API_KEY.",
        validation_alias=AliasChoices("LANGCHAIN_API_KEY", "LANGSMITH_API_KEY"),
    )
    langchain_project: str | None = Field(
        None,
        description="Project in LangSmith. Alias LANGSMITH_PROJECT.",
        validation_alias=AliasChoices("LANGCHAIN_PROJECT", "LANGSMITH_PROJECT"),
    )
    langchain_endpoint: str | None = Field(
        None,
        description="Address of LangSmith, when it is not the public one. Alias LANGSMITH_ENDPOINT.",
        validation_alias=AliasChoices("LANGCHAIN_ENDPOINT", "LANGSMITH_ENDPOINT"),
    )

    # --- Tools of bots
    tool_modules: Annotated[list[str], NoDecode] = Field(
        [], description="Python modules with tools of your own, as my_tools,more_tools; see docs/tools.md."
    )
    mcp_networks: Annotated[list[str], NoDecode] = Field(
        [],
        description="Private addresses or networks that MCP servers of `flask mcp add` may be on, with commas. Unset: "
        "public ones alone.",
    )
    webhook_networks: Annotated[list[str], NoDecode] = Field(
        [],
        description="Private addresses or networks that webhooks of tenants may be sent to, with commas. Unset: public "
        "ones alone.",
    )
    tool_max_steps: int = Field(6, ge=1, le=50, description="Decisions about tools in a turn; then it answers.")
    tool_max_calls: int = Field(8, ge=1, le=100, description="Calls of tools in a turn.")
    tool_max_tokens: int = Field(
        50_000, ge=100, description="Tokens that decisions about tools may cost in a turn; then it answers."
    )
    tool_max_seconds: float = Field(60, gt=0, le=3600, description="Seconds that a turn may spend on tools.")

    # --- Accepted from older `.env` files; what stands here has no effect yet and is logged as such when set
    openai_model_struct: str | None = Field(
        None, description="No effect: LLM_MODEL decides about tools, too.", json_schema_extra=_NO_EFFECT
    )
    structured_logging: bool = Field(
        True, description="No effect: lines of the log are always JSON.", json_schema_extra=_NO_EFFECT
    )
    together_api_key: SecretStr | None = Field(None, description="No effect.", json_schema_extra=_NO_EFFECT)
    pinecone_api_key: SecretStr | None = Field(
        None, description="No effect: the index is Qdrant.", json_schema_extra=_NO_EFFECT
    )
    pinecone_index_name: str | None = Field(
        None, description="No effect: the index is Qdrant.", json_schema_extra=_NO_EFFECT
    )

    @field_validator(
        "cors_origins",
        "trusted_hosts",
        "forwarded_allow_ips",
        "crawl_networks",
        "crawl_ports",
        "model_networks",
        "data_source_networks",
        "mcp_networks",
        "webhook_networks",
        "verify_model_languages",
        "tool_modules",
        mode="before",
    )
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator(
        "openai_base_url",
        "llm_base_url",
        "embedding_base_url",
        "rerank_base_url",
        "stt_base_url",
        "tts_base_url",
        "emotion_analysis_url",
        "qdrant_url",
        "langchain_endpoint",
        "otel_exporter_otlp_endpoint",
        "public_url",
    )
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if value and "@" in value and not is_readable(value):
            raise ValueError(_NO_ADDRESS)
        try:
            _ = urlsplit(value or "").port
        except ValueError:
            raise ValueError("is not an address: its port is not a number") from None
        return value.rstrip("/") if value else None

    @field_validator("prosa_stt_url", "prosa_tts_url")
    @classmethod
    def _is_web_socket(cls, value: str) -> str:
        if not value.startswith(("ws://", "wss://")):
            raise ValueError("must begin with wss://")
        if "@" in value or "?" in value:
            raise ValueError("must have no login and no query: the key has its own variable")
        try:
            host, _ = urlsplit(value).hostname, urlsplit(value).port
        except ValueError:
            raise ValueError("is not an address: its port is not a number") from None
        if value.startswith("ws://") and not is_this_machine(host or ""):
            raise ValueError("must begin with wss://: ws://, which others can read, is for one's own machine")
        return value

    @field_validator("knowledge_dir")
    @classmethod
    def _names_samples(cls, value: Path | None) -> Path | None:
        is_name = value == Path(SAMPLES.name) and not Path(SAMPLES.name).exists()
        return SAMPLES if is_name else value

    @field_validator(
        *("data_dir", "knowledge_dir", "prometheus_multiproc_dir", "verify_model_path", "chat_docs_dir"),
        *("ssl_cert_path", "ssl_key_path"),
    )
    @classmethod
    def _is_whole(cls, value: Path | None) -> Path | None:
        # Of an installation, whichever folder a command is typed in.
        base = SAMPLES.parent if os.environ.get(ENV_FILE) else Path.cwd()
        return Path(os.path.abspath(base / value.expanduser())) if value else None

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(_REDIS_SCHEMES):
            raise ValueError(f"must begin with {', '.join(_REDIS_SCHEMES[:-1])} or {_REDIS_SCHEMES[-1]}")
        if value:
            try:
                parts = urlsplit(value.get_secret_value())
                if "@" in parts.path + parts.fragment:
                    raise ValueError
                for node in parts.netloc.rpartition("@")[2].split(","):  # cluster and Sentinel: several
                    _ = urlsplit(f"redis://{node}").port
            except ValueError:
                raise ValueError(_NO_ADDRESS) from None
        return value

    @field_validator("api_key")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_KEY:
            raise ValueError(f"must have {SHORTEST_KEY} characters or more. Make a good one: {MAKE_KEY}")
        return value

    @field_validator("state_encryption_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_keys(value.get_secret_value())
        return value

    @field_validator("clamd_address")
    @classmethod
    def _is_clamd(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        is_socket = parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc
        try:
            is_port = parts.scheme == "tcp" and bool(parts.hostname) and parts.port is not None
        except ValueError:
            is_port = False
        if not (is_socket or is_port):
            raise ValueError("must be unix:///path/of/a/socket or tcp://host:port")
        return value

    @field_validator("crawl_ports")
    @classmethod
    def _are_ports(cls, value: list[int]) -> list[int]:
        if not value or any(not 1 <= port <= 65535 for port in value):
            raise ValueError("must be ports, 1 to 65535")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        origins = [origin.lower().removesuffix("/") for origin in value]
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not like https://example.org or https://*.example.org")
        return origins

    @field_validator("trusted_hosts")
    @classmethod
    def _are_hosts(cls, value: list[str]) -> list[str]:
        hosts = [host.lower().rstrip(".") for host in value]
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is not like example.org, *.example.org or [::1], without a port")
        return hosts

    @field_validator(
        "forwarded_allow_ips",
        "crawl_networks",
        "model_networks",
        "data_source_networks",
        "mcp_networks",
        "webhook_networks",
    )
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for network in value:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is neither an address nor a network such as 10.0.0.0/8") from None
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if found := list(self._find_contradictions()):
            raise ValueError("\n".join(found))  # a line each, as for wrong values
        return self

    def _find_contradictions(self) -> Iterator[str]:
        if self.embedding_provider == "openai" and self.embedding_endpoint is None:
            yield "EMBEDDING_PROVIDER=openai needs OPENAI_API_KEY, OPENAI_BASE_URL or EMBEDDING_BASE_URL"
        if self.rerank_base_url and not self.rerank_model:
            yield "RERANK_BASE_URL needs RERANK_MODEL"
        if self.prosa_stt_api_key and self.stt_base_url:
            yield "PROSA_STT_API_KEY and STT_BASE_URL are both set: unset the one that is not to transcribe"
        if self.prosa_tts_api_key and self.tts_base_url:
            yield "PROSA_TTS_API_KEY and TTS_BASE_URL are both set: unset the one that is not to speak"
        if self.voice_emotion == "on" and not self.emotion_analysis_url:
            yield "VOICE_EMOTION=on needs EMOTION_ANALYSIS_URL"
        if self.api_key and self.chat_page_key == self.api_key:
            yield f"CHAT_PAGE_KEY must not be API_KEY, which may do everything. Make another: {MAKE_KEY}"
        needed = ("chat_url", "oidc_issuer", "oidc_client_id", "oidc_client_secret")
        missing = [name.upper() for name in needed if getattr(self, name) is None]
        if self.chat_login != "off" and missing:
            yield f"CHAT_LOGIN={self.chat_login} needs {', '.join(missing)}"
        if (self.ssl_cert_path is None) != (self.ssl_key_path is None):
            yield "SSL_CERT_PATH and SSL_KEY_PATH go together: set both, or neither"
        if self.chunk_max_tokens < self.chunk_tokens:
            yield f"CHUNK_MAX_TOKENS must be at least CHUNK_TOKENS, which is {self.chunk_tokens}"

    @property
    def redis_address(self) -> str | None:
        """The URL of the configured Redis, None for the embedded one."""
        if self.redis_url:
            return self.redis_url.get_secret_value()
        if self.redis_host is None:
            return None
        user = quote(self.redis_username or "", safe="")
        password = quote(self.redis_password.get_secret_value(), safe="") if self.redis_password else ""
        login = f"{user}:{password}@" if user or password else ""
        return f"{'rediss' if self.redis_tls else 'redis'}://{login}{self.redis_host}:{self.redis_port}/{self.redis_db}"

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """The certificate and the key to serve HTTPS with; None: HTTP."""
        return (self.ssl_cert_path, self.ssl_key_path) if self.ssl_cert_path and self.ssl_key_path else None

    @property
    def is_embedded(self) -> bool:
        """Whether a store has one owner, this process, so that a second one cannot serve beside it."""
        return self.redis_address is None or self.qdrant_url is None

    @property
    def disk_reserve_bytes(self) -> int:
        """DISK_RESERVE_MB in bytes."""
        return self.disk_reserve_mb * 1_000_000

    @property
    def has_own_stores(self) -> bool:
        """Whether any store is named: nobody does that to try the service out."""
        return bool(self.redis_address or self.database_uri or self.qdrant_url)

    @property
    def documents_folder(self) -> Path | None:
        """The folder that is loaded at every start, None for none; the samples only where nothing says otherwise."""
        return self.knowledge_dir or (None if self.has_own_stores else SAMPLES)

    @property
    def data_source_folder(self) -> Path | None:
        """The folder with the SQLite files of tenants, None where they may have none as data sources."""
        return self.data_source_dir or (self.data_dir / SOURCES_FOLDER if self.is_embedded else None)

    @property
    def uploaded_tables_folder(self) -> Path:
        """The folder with the tables of files that were uploaded as data sources."""
        return self.data_dir / UPLOADS_FOLDER

    @property
    def chat_docs_folder(self) -> Path:
        """The folder with the rows of large results of queries."""
        return self.chat_docs_dir or self.data_dir / "chat_docs"

    @property
    def page_title(self) -> str:
        """What the chat page is called."""
        return self.chat_title or self.institution or "Pustaka"

    @property
    def database_address(self) -> str:
        """The URL of the SQL database."""
        if self.database_uri:
            return self.database_uri.get_secret_value()
        return f"sqlite:///{self.data_dir / RECORDS_FILE}"

    @property
    def chat_endpoint(self) -> Endpoint | None:
        """Where the chat model is, None for the extractive answerer."""
        if self.llm_base_url:
            return Endpoint(self.llm_base_url, self.llm_api_key or _NO_KEY, self.llm_model or "gpt-4o-mini")
        if self.openrouter_api_key:
            model = self.llm_model or "openai/gpt-4o-mini"
            return Endpoint("https://openrouter.ai/api/v1", self.llm_api_key or self.openrouter_api_key, model)
        if self.openai_base_url or self.openai_api_key or self.llm_api_key:
            base_url = self.openai_base_url or "https://api.openai.com/v1"
            key = self.llm_api_key or self.openai_api_key or _NO_KEY
            return Endpoint(base_url, key, self.llm_model or "gpt-4o-mini")
        return None

    @property
    def embedding_endpoint(self) -> Endpoint | None:
        """Where the embedding model is, None for the one that comes with the service."""
        if self.embedding_provider == "embedded":
            return None
        model = self.embedding_model or "text-embedding-3-small"
        if self.embedding_base_url:
            return Endpoint(self.embedding_base_url, self.embedding_api_key or _NO_KEY, model)
        if self.openai_base_url or self.openai_api_key or self.embedding_api_key:
            key = self.embedding_api_key or self.openai_api_key or _NO_KEY
            return Endpoint(self.openai_base_url or "https://api.openai.com/v1", key, model)
        return None

    @property
    def rerank_endpoint(self) -> Endpoint | None:
        """Where the reranker is, None for none."""
        if not self.rerank_base_url or not self.rerank_model:
            return None
        return Endpoint(self.rerank_base_url, self.rerank_api_key or _NO_KEY, self.rerank_model)

    @property
    def speech_to_text_endpoint(self) -> Endpoint | None:
        """Where recordings are transcribed, None for nowhere."""
        if not self.stt_base_url:
            return None
        return Endpoint(self.stt_base_url, self.stt_api_key or _NO_KEY, self.stt_model)

    @property
    def text_to_speech_endpoint(self) -> Endpoint | None:
        """Where answers are spoken, None for nowhere."""
        if not self.tts_base_url:
            return None
        return Endpoint(self.tts_base_url, self.tts_api_key or _NO_KEY, self.tts_model)

    @property
    def prosa_speech_to_text(self) -> Endpoint | None:
        """Prosa in place of such an endpoint, None where it is not to transcribe."""
        key = self.prosa_stt_api_key
        return Endpoint(self.prosa_stt_url, key, self.prosa_stt_model) if key else None

    @property
    def prosa_text_to_speech(self) -> Endpoint | None:
        """Prosa in place of such an endpoint, None where it is not to speak."""
        key = self.prosa_tts_api_key
        return Endpoint(self.prosa_tts_url, key, self.prosa_tts_model) if key else None

    @property
    def emotion_endpoint(self) -> Endpoint | None:
        """Where emotions are told from recordings, None for nowhere."""
        if self.voice_emotion == "off" or not self.emotion_analysis_url:
            return None
        return Endpoint(self.emotion_analysis_url, _NO_KEY, "")

    @property
    def without_effect(self) -> list[str]:
        """Variables that are set but change nothing in this version."""
        fields = type(self).model_fields
        return [
            name.upper()
            for name in sorted(self.model_fields_set)
            if isinstance(extra := fields[name].json_schema_extra, dict) and extra.get("no_effect")
        ]


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`, or the file that PUSTAKA_ENV_FILE names; *overrides* (by field name) win.

    Raises:
        SettingsError: a value cannot be used.
        SettingsFileError: the file cannot be read.
    """
    file = settings_file()
    try:
        if os.environ.get(ENV_FILE) or os.path.lexists(file):  # one that is named must be there
            _check_file(file)
        if os.environ.get(ENV_FILE):
            overrides = {"_env_file": file, **overrides}
        elif os.geteuid() == 0 and file.exists() and file.stat().st_uid != 0:
            # Whoever can write to a folder that root stands in would choose the stores of root's commands.
            raise SettingsFileError(
                f"{file.absolute()} belongs to another user, so root does not read it. Go to another folder, "
                f"or name the file: {ENV_FILE}={file.absolute()}"
            )
        settings = Settings(**overrides)
    except ValidationError as exc:
        raise SettingsError("\n".join(_explain(error) for error in exc.errors())) from None
    except PermissionError as exc:
        group = next((each.gr_name for each in grp.getgrall() if each.gr_gid == os.getegid()), os.getegid())
        raise SettingsFileError(
            f"{file} cannot be read ({exc.strerror}). Let the service's group read it: "
            f"chgrp {group} {file}; chmod 640 {file}"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else type(exc).__name__
        raise SettingsFileError(f"{file} cannot be read ({reason}). Make it a text file in UTF-8.") from None
    log = logging.getLogger("config")
    for name in settings.without_effect:
        log.warning("%s is set but has no effect in this version.", name)
    for slip in find_misspelt_variables():
        log.warning("%s in %s is not known to the service. Is %s meant?", slip.name, slip.where, slip.meant)
    return settings


def _check_file(file: Path) -> None:
    """Look at *file* before all of it is read: a device or a pipe has no end, and maybe no beginning.

    Raises:
        SettingsFileError: it is no file of settings.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(os.stat(file).st_mode):
        raise SettingsFileError(f"{file} is not a regular file. Name a text file with a line for each setting.")
    with file.open("rb") as opened:
        data = opened.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise SettingsFileError(f"{file} is larger than {_LARGEST_FILE // 1_000_000} MB, so it is no file of settings.")
    if b"\0" in data:
        raise SettingsFileError(f"{file} holds a NUL character. Make it a text file in UTF-8.")


def settings_file() -> Path:
    """The file whose lines are settings: the one that PUSTAKA_ENV_FILE names, else `.env` of the present folder."""
    return Path(os.environ.get(ENV_FILE) or ".env")


def list_variables() -> dict[str, str]:
    """The field that each variable sets, aliases included."""
    fields = {field.upper(): field for field in Settings.model_fields}
    for field, info in Settings.model_fields.items():
        if isinstance(info.validation_alias, AliasChoices):
            fields |= {str(choice): field for choice in info.validation_alias.choices}
    return fields


def find_misspelt_variables() -> list[MisspeltVariable]:
    """The variables of the file, and those of the environment that begin as ours do, that are probably misspelt."""
    known, file = {*list_variables(), *_OF_THE_PAGE, ENV_FILE}, str(settings_file())
    named = {file: list(dotenv_values(file, interpolate=False))}
    named["the environment"] = select_by_prefix(set(os.environ) - set(named[file]), known)
    return [
        MisspeltVariable(name, where, meant)
        for where in named
        for name, meant in find_misspelt(named[where], known).items()
    ]


def _explain(error: Any) -> str:
    """One line for one wrong value: its variable, what is wrong, and the value unless it may be a secret."""
    message = describe_error(error)
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    field = Settings.model_fields.get(name.lower())
    hint = f" It sets: {field.description}" if field and field.description else ""
    secret = field is None or "Secret" in str(field.annotation)
    value = repr(error["input"])
    # An address may hold a password, also where it is mistyped.
    given = "" if secret or any(sign in value for sign in ("@", "%40", "=")) else f" (it is {_shorten(value)})"
    return f"{name.upper()}: {_shorten(message)}{given}.{hint}"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + " …"
