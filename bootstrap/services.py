"""All wiring: what a running service is made of, made once, owned and closed here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agents.attached_files import AttachedFiles
from agents.bots import BotDirectory
from agents.conversations import Conversations
from agents.data_sources import DataSources
from agents.glossary_proposals import GlossaryProposer
from agents.runs.runs import Runs
from agents.sharing import ConversationSharing
from agents.state import AnswerModel
from agents.tools.registry import ToolRegistry
from agents.transcripts import Transcripts
from auth.principal import DEFAULT_TENANT
from bootstrap.agent import open_agent
from bootstrap.background import Background
from bootstrap.data_folder import load_secret
from bootstrap.ingesting import make_quotas, make_reading_policy, open_uploaded_tables
from bootstrap.knowledge import Progress, check_knowledge
from bootstrap.monitor import Monitor
from bootstrap.parts import open_search, open_stores
from bootstrap.running import start_background, start_monitor
from bootstrap.sandbox import check_walls
from bootstrap.savers import make_keyring
from bootstrap.speech import open_emotion_model, open_speech_to_text, open_text_to_speech
from bootstrap.stores import make_disk_space
from bootstrap.tenant_models import TenantModels
from config import Settings
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.keys import create_first_key
from indexing.active import ActiveIndex
from ingestion.attached import AttachedFileReader
from ingestion.library import Library
from ingestion.uploaded_tables import UploadedTables
from providers.charts.renderer import ChartRenderer
from providers.files.results import ResultFiles
from retrieval.search import Retriever
from utils.checkpointer import FallbackCheckpointer
from utils.checkpointer.cipher import Keyring
from utils.disk import DiskSpace, UploadSpace
from utils.ports import EmotionModel, SpeechToText, TextToSpeech
from utils.sandbox.sandbox import Sandbox
from utils.sandbox.walls import WallReport
from utils.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Services:
    """What the edges work with.

    `page_key` is the secret of the chat page, `link_key` signs links to documents, `state_keys` encrypt ratings, the
    keys of models and the addresses of data sources.
    """

    settings: Settings
    data_folder: Path
    redis_url: str
    database: Database
    document_files: DocumentFiles
    library: Library
    checkpointer: FallbackCheckpointer
    runs: Runs
    conversations: Conversations
    bots: BotDirectory
    transcripts: Transcripts
    sharing: ConversationSharing
    tenant_models: TenantModels
    tools: ToolRegistry
    data_sources: DataSources
    glossary: GlossaryProposer
    result_files: ResultFiles
    attached_files: AttachedFiles
    attached_reader: AttachedFileReader
    uploaded_tables: UploadedTables
    charts: ChartRenderer
    serving: ActiveIndex
    model: AnswerModel
    speech_to_text: SpeechToText | None
    text_to_speech: TextToSpeech | None
    emotion_model: EmotionModel | None
    monitor: Monitor
    disk: DiskSpace
    upload_space: UploadSpace
    background: Background
    telemetry: Telemetry
    sandbox: Sandbox
    walls: WallReport
    page_key: str
    link_key: bytes = field(repr=False)
    state_keys: Keyring | None

    @property
    def retriever(self) -> Retriever:
        """What searches the index that serves now: to be asked for once for each question."""
        return self.serving.make_retriever()

    def make_first_key(self) -> str | None:
        """An API key, if API_KEY is not set and the default tenant has none yet; to be shown once. Blocking."""
        if self.settings.api_key:
            return None
        with self.database.open_write_session() as session:
            return create_first_key(session, DEFAULT_TENANT, "first key")


async def wait_until_it_may_start(settings: Settings) -> None:
    """Return once the disk has room for what is written into mapped files: the embedded stores and the metrics."""
    if settings.is_embedded or settings.prometheus_enabled:
        await make_disk_space(settings).wait_for_room()


@asynccontextmanager
async def open_services(
    settings: Settings, *, progress: Progress | None = None, patience_s: float = 0.0
) -> AsyncIterator[Services]:
    """Everything, started in order and closed in the opposite one, in the running event loop.

    *progress* hears of the documents of KNOWLEDGE_DIR, from a thread. *patience_s*: see `open_stores`.

    Raises:
        StartError: something is missing or in the way; the message says what to do.
    """
    check_knowledge(settings.documents_folder)
    disk = make_disk_space(settings)
    await wait_until_it_may_start(settings)
    async with AsyncExitStack() as stack:
        stores = await open_stores(stack, settings, patience_s=patience_s)
        search = await open_search(stores)
        agent = await open_agent(stores, search)
        sandbox = stack.enter_context(Sandbox(required=settings.sandbox_required, prepares=True))
        walls = await asyncio.to_thread(check_walls, sandbox, required=settings.sandbox_required)
        policy = make_reading_policy(settings, sandbox)
        background = await start_background(stores, search, policy, progress)
        charts = ChartRenderer(sandbox.start)
        yield Services(
            settings=settings,
            data_folder=stores.folder,
            redis_url=stores.connections.url,
            database=stores.database,
            document_files=stores.document_files,
            library=Library(stores.database, stores.document_files, make_quotas(settings)),
            checkpointer=agent.checkpointer,
            runs=agent.runs,
            conversations=agent.conversations,
            bots=agent.bots,
            transcripts=agent.transcripts,
            sharing=agent.sharing,
            tenant_models=agent.tenant_models,
            tools=agent.tools,
            data_sources=agent.data_sources,
            glossary=agent.glossary,
            result_files=agent.result_files,
            attached_files=agent.attached_files,
            attached_reader=AttachedFileReader(policy),
            uploaded_tables=open_uploaded_tables(settings, stores.database, policy, make_quotas(settings)),
            charts=charts,
            serving=search.serving,
            model=search.model,
            speech_to_text=open_speech_to_text(stack, settings, stores.telemetry),
            text_to_speech=open_text_to_speech(stack, settings, stores.telemetry),
            emotion_model=open_emotion_model(stack, settings, stores.telemetry, search.cached),
            monitor=await start_monitor(stores, search, agent, background, disk, charts),
            disk=disk,
            upload_space=UploadSpace(disk),
            background=background,
            telemetry=stores.telemetry,
            sandbox=sandbox,
            walls=walls,
            link_key=stores.link_key,
            state_keys=make_keyring(settings),
            page_key=await asyncio.to_thread(open_page_key, settings, stores.folder),
        )


def open_page_key(settings: Settings, folder: Path) -> str:
    """The chat page's key: CHAT_PAGE_KEY, else a secret of the data folder, so that visitors stay who they are."""
    configured = settings.chat_page_key
    return configured.get_secret_value() if configured else load_secret(folder, "page.key").hex()
