"""The compose stack: who depends on whom, what is reachable, what is kept, and that every health check works."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from config import Settings, load_settings
from tests.deploy import compose, image
from tests.domain.records import two_tenants
from tests.page_variables import PAGE_VARIABLES
from tests.programs import installed
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.service import ROOT, free_port, plain_environment

pytestmark = pytest.mark.long

OURS = ("app", "streamlit", "worker")
# Variables that are no setting of the service: where its page finds the API, and the password of the overlay's server.
NOT_SETTINGS = {
    "API_URL", "CERTIFICATES", "GRAFANA_PASSWORD", "GRAFANA_PORT", "POSTGRES_PASSWORD", "PROMETHEUS_PORT",
    "SERVER_NAME",
}  # fmt: skip
SECRETS = {"POSTGRES_PASSWORD": "0123456789abcdef", "QDRANT_API_KEY": "fedcba9876543210"}
OVERLAYS = (compose.POSTGRES, compose.QDRANT_KEY, compose.MONITORING, compose.TLS)
WHOLE = {**SECRETS, "GRAFANA_PASSWORD": "aaaaaaaaaaaaaaaa", "SERVER_NAME": "chat.example.org"}


def services(*files: str) -> dict[str, dict[str, Any]]:
    """The services by their names."""
    return dict(compose.load(compose.BASE, *files, variables=SECRETS)["services"])


def setting_names() -> set[str]:
    """Every name that config.py reads, aliases too."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        names.add(name.upper())
        names.update(map(str, getattr(field.validation_alias, "choices", ())))
    return names


def test_the_services_of_the_guide_are_there_and_nothing_is_demanded_of_a_newcomer() -> None:
    stack = compose.load(variables={})
    assert set(stack["services"]) == {"proxy", "app", "streamlit", "worker", "redis", "qdrant"}
    assert stack["name"] == "pustaka"


def test_nothing_but_the_proxy_is_published_and_it_to_this_machine_alone() -> None:
    published = {name: ports for name, service in services(compose.POSTGRES).items() if (ports := service.get("ports"))}
    assert published == {"proxy": ["127.0.0.1:8000:8080", "127.0.0.1:8501:8080", "127.0.0.1:8543:8080"]}


def test_others_reach_the_proxy_alone_and_only_with_tls() -> None:
    stack = compose.load(compose.BASE, *OVERLAYS, variables=WHOLE)["services"]
    ports = [(name, port) for name, service in stack.items() for port in service.get("ports", ())]
    open_to_others = {(name, port) for name, port in ports if not port.startswith("127.0.0.1:")}
    assert open_to_others == {("proxy", "0.0.0.0:80:8080"), ("proxy", "0.0.0.0:443:8443")}
    for service in stack.values():
        assert "network_mode" not in service
        assert not service.get("privileged")
        assert "docker.sock" not in str(service.get("volumes"))


def test_another_port_can_be_chosen_outside_without_moving_the_one_inside() -> None:
    stack = compose.load(variables={"PORT": "9000", "STREAMLIT_PORT": "9001"})["services"]
    assert stack["proxy"]["ports"][:2] == ["127.0.0.1:9000:8080", "127.0.0.1:9001:8080"]
    assert stack["app"]["environment"]["PORT"] == "8000"


def test_the_api_believes_the_proxy_about_its_clients() -> None:
    trusted = services()["app"]["environment"]["FORWARDED_ALLOW_IPS"].split(",")
    networks = [ip_network(network) for network in trusted]
    assert all(network.is_private for network in networks)
    docker = ip_network("172.17.0.0/16"), ip_network("192.168.0.0/16")  # where Docker makes its networks
    assert all(any(each.subnet_of(network) for network in networks) for each in docker)  # type: ignore[arg-type]


def test_with_tls_the_service_goes_by_its_name_and_the_pages_name_for_it() -> None:
    environment = compose.load(compose.BASE, compose.TLS, variables=WHOLE)["services"]["app"]["environment"]
    assert environment["PUBLIC_URL"] == "https://chat.example.org"
    assert environment["TRUSTED_HOSTS"].split(",") == ["chat.example.org", urlsplit(environment["API_URL"]).hostname]


def test_the_stores_are_reached_by_the_service_alone() -> None:
    stack = compose.load(compose.BASE, compose.POSTGRES, variables=SECRETS)
    assert stack["networks"]["stores"]["internal"] is True
    inside = {name for name, service in stack["services"].items() if "stores" in service["networks"]}
    assert inside == {"app", "worker", "redis", "qdrant", "postgres"}
    for store in ("redis", "qdrant", "postgres"):
        assert stack["services"][store]["networks"] == ["stores"]


def test_everything_waits_until_what_it_needs_is_healthy() -> None:
    stack = services(compose.POSTGRES)
    needs = {name: set(service.get("depends_on", {})) for name, service in stack.items()}
    assert needs["proxy"] == {"app", "streamlit"}
    assert needs["app"] == {"redis", "qdrant", "postgres"}
    assert needs["streamlit"] == {"app"}
    assert needs["worker"] == {"app", "redis", "postgres"}
    for service in stack.values():
        assert {need["condition"] for need in service.get("depends_on", {}).values()} <= {"service_healthy"}
    for name, service in stack.items():
        assert "healthcheck" in service or (name == "app" and image.health_check()), name


def test_what_must_outlive_a_container_lies_in_volumes() -> None:
    stack = compose.load(compose.BASE, compose.POSTGRES, variables=SECRETS)
    mounted = {name: dict(map(split_mount, service["volumes"])) for name, service in stack["services"].items()}
    del mounted["proxy"]  # which keeps nothing
    assert mounted["redis"] == {"/data": "redis-data"}
    assert mounted["qdrant"] == {"/qdrant/storage": "qdrant-data"}
    assert mounted["postgres"] == {"/var/lib/postgresql/data": "postgres-data"}
    assert mounted["app"][image.environment()["DATA_DIR"]] == "data"
    assert mounted["worker"] == {image.environment()["DATA_DIR"]: "data"}
    assert mounted["app"]["/app/page-key"] == mounted["streamlit"]["/app/page-key"] == "page-key"
    named = {source for mounts in mounted.values() for source in mounts.values() if not source.startswith(".")}
    assert named == set(stack["volumes"])


def split_mount(mount: str) -> tuple[str, str]:
    """Where a volume is mounted, and its name."""
    source, target = mount.split(":")[:2]
    return target, source


def test_the_api_the_page_and_the_workers_are_one_image_and_two_have_one_environment() -> None:
    for files in ((), (compose.POSTGRES,)):
        app, page, worker = (services(*files)[name] for name in OURS)
        for part in ("image", "build"):
            assert app[part] == page[part] == worker[part], part
        for part in ("environment", "env_file"):
            assert app[part] == worker[part], part
    assert app["env_file"] == [{"path": ".env", "required": False}]


def test_the_page_gets_its_own_settings_alone() -> None:
    page = compose.load(compose.BASE, *OVERLAYS, variables=WHOLE)["services"]["streamlit"]
    assert page["env_file"] == []
    assert set(page["environment"]) == PAGE_VARIABLES
    assert not {value for value in page["environment"].values() if value in SECRETS.values()}
    everything = {name: f"value-of-{name}" for name in setting_names()}
    stack = compose.load(variables=everything)["services"]
    proxies = {part: stack[part]["environment"]["FORWARDED_ALLOW_IPS"] for part in ("app", "streamlit")}
    assert proxies["app"] == proxies["streamlit"]
    for name in PAGE_VARIABLES - {"API_URL", "FORWARDED_ALLOW_IPS"}:
        assert stack["streamlit"]["environment"][name] == everything[name]


def test_every_variable_is_one_that_the_service_knows() -> None:
    known = setting_names() | NOT_SETTINGS
    for file in (compose.BASE, *OVERLAYS):
        assert compose.variables_in(file) <= known, file
    for name in OURS:
        assert set(services(compose.POSTGRES)[name]["environment"]) <= known


def test_the_environment_leads_to_the_services_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = services(compose.POSTGRES)
    monkeypatch.chdir(tmp_path)  # where there is no .env
    for name, value in (stack["app"]["environment"] | {"REDIS_HOST": "localhost"}).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert not settings.is_embedded
    addresses = [settings.redis_address or "", settings.qdrant_url or "", settings.database_address]
    assert [urlsplit(address).hostname for address in addresses] == ["redis", "qdrant", "postgres"]
    assert [urlsplit(address).port for address in addresses] == [6379, 6333, 5432]
    page = urlsplit(stack["streamlit"]["environment"]["API_URL"])
    assert (page.hostname, page.port) == ("app", settings.port)
    assert "app" in stack
    assert str(settings.data_dir) == "/app/data"


def test_the_records_overlay_creates_the_database_that_the_service_opens() -> None:
    stack = services(compose.POSTGRES)
    opened = urlsplit(stack["app"]["environment"]["DATABASE_URI"])
    made = stack["postgres"]["environment"]
    assert (opened.username, opened.password) == (made["POSTGRES_USER"], made["POSTGRES_PASSWORD"])
    assert opened.path == f"/{made['POSTGRES_DB']}"


@pytest.mark.parametrize(
    ("overlay", "variable"),
    [
        (compose.POSTGRES, "POSTGRES_PASSWORD"),
        (compose.QDRANT_KEY, "QDRANT_API_KEY"),
        (compose.MONITORING, "GRAFANA_PASSWORD"),
        (compose.TLS, "SERVER_NAME"),
    ],
)
def test_an_overlay_demands_its_secret_by_name_and_has_no_default(overlay: str, variable: str) -> None:
    with pytest.raises(compose.MissingVariable, match=variable):
        compose.load(compose.BASE, overlay, variables={})


def test_no_secret_stands_in_a_compose_file() -> None:
    for file in (compose.BASE, *OVERLAYS):
        for line in (ROOT / file).read_text().splitlines():
            written = re.match(r"\s*\w*(?:KEY|PASSWORD|SECRET|TOKEN)\w*: *(.+)", line)
            assert not written or written[1].startswith("${"), line


def test_requests_end_before_docker_ends_the_server() -> None:
    for name in OURS:
        assert seconds(services()[name]["stop_grace_period"]) > 30
        assert services()[name]["init"] is True


def seconds(duration: str) -> int:
    """A duration such as 40s."""
    return int(duration.removesuffix("s"))


def test_no_container_can_change_itself_or_has_any_right() -> None:
    for name, service in compose.load(compose.BASE, *OVERLAYS, variables=WHOLE)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert 0 < service["pids_limit"] <= 4096, name
        assert service["mem_limit"], name
        if name != "grafana":
            assert service["read_only"] is True, name
            assert "/tmp" in service["tmpfs"], name  # noqa: S108 - in the container


def test_every_service_comes_back_and_its_logs_and_memory_are_limited() -> None:
    for name, service in services(compose.POSTGRES).items():
        assert service["restart"] == "unless-stopped", name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert service["mem_limit"], name


def test_every_image_is_pinned_and_qdrant_fits_its_client() -> None:
    tags = {name: service["image"].partition(":")[2] for name, service in services(compose.POSTGRES).items()}
    assert all(re.search(r"\d", tag) for tag in tags.values()), tags
    client = re.search(r"^qdrant-client==(\d+\.\d+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert client
    assert tags["qdrant"].startswith(f"v{client[1]}.")


# The commands of the guide; with `docker compose` they are the same.
COMMANDS = [
    "up -d",
    "ps",
    "ps redis",
    "logs -f app",
    "logs -f streamlit",
    "logs -f",
    "logs app --no-log-prefix",
    "logs app --tail 50",
    "down",
    "down -v",
    "restart",
    "restart app",
    "restart redis",
    "up -d --build",
    "config",
    "exec app bash",
    "exec streamlit bash",
    "exec app curl localhost:8000/health",
    "exec app flask api-key",
    "exec app flask load documents",
    "exec redis redis-cli",
    "exec redis redis-cli ping",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_guide_find_their_services_and_programs(command: str) -> None:
    verb, *rest = command.split()
    words = [word for word in rest if not word.startswith("-") and not word.isdigit()]
    if words and verb in ("ps", "logs", "restart", "exec"):
        assert words[0] in services()
    if verb == "exec":
        in_image = {"bash", "flask"} | image.installed_packages()
        assert words[1] in (in_image if words[0] in OURS else {"redis-cli"})
    assert services()["redis"]["image"].startswith("redis:")
    assert "--requirepass" not in services()["redis"]["command"], "redis-cli would ask for it"


def check(service: str, replaced: dict[str, str]) -> int:
    """The exit code of a service's health check, run here with other addresses in it."""
    test = list(services(compose.POSTGRES)[service]["healthcheck"]["test"])
    kind, words = test[0], test[1:]
    for old, new in replaced.items():
        assert any(old in word for word in words), (old, words)
        words = [word.replace(old, new) for word in words]
    installed(words[0].split()[0])
    command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
    return subprocess.run(command, env=plain_environment({}), capture_output=True, timeout=30, check=False).returncode


@contextmanager
def running_redis(port: int, folder: Path) -> Iterator[redis.Redis]:
    """`redis-server` as in the stack, on *port* with its data in *folder*; a client of it."""
    program, *options = services()["redis"]["command"]
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    server = subprocess.Popen([installed(program), *options, *place], stdout=subprocess.DEVNULL)
    try:
        wait_until_healthy("redis", {"redis-cli": f"redis-cli -p {port}"}, server)
        with redis.Redis(port=port, decode_responses=True) as client:
            yield client
    finally:
        server.terminate()
        server.wait(20)


def wait_until_healthy(service: str, replaced: dict[str, str], process: "subprocess.Popen[bytes]") -> None:
    """Wait until the health check of *service* passes."""
    deadline = time.monotonic() + 60
    while check(service, replaced) != 0:
        assert process.poll() is None, f"{service} has ended"
        assert time.monotonic() < deadline


def test_conversations_outlive_the_restart_of_redis_and_its_health_check_tells(tmp_path: Path) -> None:
    port = free_port()
    with running_redis(port, tmp_path) as client:
        client.set("checkpoint:mine", "{}", ex=500)
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert check("redis", {"redis-cli": f"redis-cli -p {port}"}) != 0
    with running_redis(port, tmp_path) as client:
        assert client.get("checkpoint:mine") == "{}"


class _Readiness(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b"all shards are ready\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_qdrants_health_check_reads_its_readiness(status: int, code: int) -> None:
    handler = type("_Answering", (_Readiness,), {"status": status})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert check("qdrant", {"/6333": f"/{server.server_port}"}) == code
        server.shutdown()


def test_qdrants_health_check_fails_where_nothing_listens() -> None:
    assert check("qdrant", {"/6333": f"/{free_port()}"}) != 0


def test_the_health_check_of_the_records_overlay_works_on_a_real_server(postgres: PostgresServer) -> None:
    assert check("postgres", {"5432": str(postgres.port)}) == 0
    assert check("postgres", {"5432": str(free_port())}) != 0


@pytest.mark.soak
def test_the_workers_read_what_the_api_takes_in_and_say_that_they_live(tmp_path: Path) -> None:
    assert services()["app"]["environment"]["INGESTION_WORKERS"] == "0"
    program, *arguments = services()["worker"]["command"]
    with RedisServer(tmp_path / "redis") as server:
        variables = {"REDIS_URL": server.url, "DATA_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
        two_tenants(f"sqlite:///{tmp_path / 'pustaka.db'}").close()
        command = [str(Path(sys.executable).parent / program), *arguments]
        app = image.copy_context(tmp_path / "app")
        worker = subprocess.Popen(command, cwd=app, env=plain_environment(variables), stderr=subprocess.DEVNULL)
        here = {"/tmp/": f"{tmp_path}/"}  # noqa: S108 - replaced
        try:
            assert check("worker", here) != 0
            wait_until_healthy("worker", here, worker)
        finally:
            worker.terminate()
            worker.wait(30)


def test_the_page_starts_by_its_command_and_passes_its_health_check(tmp_path: Path) -> None:
    installed("curl")
    app, port = image.copy_context(tmp_path / "app"), str(free_port())
    here = {"8501": port, "0.0.0.0": "127.0.0.1"}  # noqa: S104 - replaced, not bound
    program, *arguments = services()["streamlit"]["command"]
    for old, new in here.items():
        arguments = [word.replace(old, new) for word in arguments]
    variables = {"API_URL": "http://127.0.0.1:9", "CHAT_PAGE_KEY": "sixteen-or-more-characters", "PORT": "8000"}
    command = [str(Path(sys.executable).parent / program), *arguments]
    page = subprocess.Popen(command, cwd=app, env=plain_environment(variables), stdout=subprocess.DEVNULL)
    try:
        wait_until_healthy("streamlit", {"8501": port}, page)
    finally:
        page.terminate()
        page.wait(20)
    assert check("streamlit", {"8501": port}) != 0
