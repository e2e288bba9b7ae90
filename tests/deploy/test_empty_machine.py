"""`docs/deploying.md` as an operator follows it on an empty machine, and a backup started on a second one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.deploying_page import BACKUP, SECTIONS, list_blocks
from tests.programs import installed
from tests.service import ROOT

UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")
pytestmark = [pytest.mark.long, pytest.mark.soak, pytest.mark.timeout(1300)]

BEGIN = r"""
set -euo pipefail
failing() { "$@" >"$TOLD/out" 2>&1 && exit 66; cat "$TOLD/out"; }  # what has to be refused, and its words
ask() {
  curl --silent --show-error https://chat.example.org/v1/chat -H "X-API-Key: $API_KEY" \
    -H "X-Conversation-Id: again" -H "Content-Type: application/json" \
    -d '{"message": "How much does a dormitory room cost?"}'
}
"""
SERVING = r"""
ask > $TOLD/answer.json
curl --fail --silent --output /dev/null https://chat.example.org/
curl --fail --silent "https://chat.example.org/health?verbose" -H "X-API-Key: $API_KEY" > $TOLD/health.json
ls /opt/pustaka/data 2> $TOLD/no_data || true
(cd /opt/pustaka; .venv/bin/flask api-key list; python3 validate.py --only stores) > $TOLD/by_flask 2>&1
(cd /tmp; export DATABASE_URI=sqlite:////tmp/stray.db DATA_DIR=/tmp/stray QDRANT_APIKEY=x
  pustaka api-key list; pustaka validate --only stores) > $TOLD/stray 2>&1
ls /tmp/stray* 2> $TOLD/no_stray || true
failing runuser -u nobody -- pustaka api-key create > $TOLD/nobody
cd /root
failing pustaka index export handbook.zip > $TOLD/export
units=/etc/systemd/system
mkdir $units/pustaka-api.service.d  # as `systemctl edit` does
printf '[Service]\nEnvironment=QDRANT_URL=http://127.0.0.1:6333\n' > $units/pustaka-api.service.d/override.conf
pustaka log-id x > $TOLD/override 2>&1
rm -r $units/pustaka-api.service.d
chmod 600 /etc/pustaka.env
failing runuser -u pustaka -- pustaka log-id x > $TOLD/closed
sed -i 's/^Environment=PUSTAKA_ENV_FILE=\([^ ]*\) /EnvironmentFile=\1\nEnvironment=/' $units/pustaka-api.service
pustaka log-id x > $TOLD/earlier 2>&1  # with the unit of an earlier version
cp /opt/pustaka/deploy/systemd/pustaka-api.service $units
chmod 640 /etc/pustaka.env
echo "PORT=8005" >> /etc/pustaka.env
echo "LLM_MODLE=x" >> /etc/pustaka.env
systemctl reload pustaka-api
pustaka reload > $TOLD/port 2>&1
echo "RATE_LIMIT_PER_HOUR=many" >> /etc/pustaka.env
failing systemctl reload pustaka-api > $TOLD/refused
sed -i '/^PORT=8005$/d; /^LLM_MODLE=x$/d; /=many$/d' /etc/pustaka.env
kept=$API_KEY
eval "$(pustaka api-key create --name 'to be revoked')"
ask > $TOLD/before.json
pustaka api-key revoke "${API_KEY:0:16}" > $TOLD/revoked 2>&1
until ask | tee $TOLD/after.json | grep -q '"status": *401'; do sleep 0.2; done
API_KEY=$kept
find /var/lib/pustaka ! -user pustaka > $TOLD/of_root
redis-cli --no-auth-warning -a "$redis_password" --scan --pattern 'checkpoint:*' > $TOLD/conversations
"""
SAVING = r"""
cp -r /var/backups/pustaka $TOLD/backup
echo "$API_KEY" > $TOLD/backup/key_of_a_client
"""
BRINGING = r"""
install -d -m 700 /var/backups
cp -r $TOLD/backup /var/backups/pustaka
"""
RESTORED = r"""
API_KEY=$(cat $TOLD/backup/key_of_a_client)
until curl --fail --silent http://127.0.0.1:8000/ready > /dev/null; do sleep 0.2; done
curl --fail --silent http://127.0.0.1:8000/v1/conversations/again -H "X-API-Key: $API_KEY" > $TOLD/conversation.json
curl --fail --silent http://127.0.0.1:8000/v1/chat -H "X-API-Key: $API_KEY" -H "X-Conversation-Id: again" \
  -H "Content-Type: application/json" -d '{"message": "How much does a dormitory room cost?"}' > $TOLD/restored.json
curl --fail --silent --output $TOLD/source.html "$(python3 -c \
  'import json, sys; print(json.load(sys.stdin)["citations"][0]["link"])' < $TOLD/restored.json)"
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the machine has left what its commands said."""
    for program in ("redis-server", "pg_ctlcluster", "nginx", "unshare"):
        installed(program, also_in="/usr/sbin")
    if os.geteuid() != 0:
        pytest.skip("only root can make a machine")
    folder = tmp_path_factory.mktemp("told")
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make namespaces")
    run_on_empty_machine(folder, script())
    return folder


@pytest.fixture(scope="module")
def elsewhere(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a second machine, to which the backup of the first was brought."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (told / "backup").rename(folder / "backup")
    run_on_empty_machine(folder, script_elsewhere())
    return folder


def run_on_empty_machine(folder: Path, script: str) -> None:
    """Run *script*, which leaves in *folder* what its commands said."""
    (folder / "script.sh").write_text(script)
    program = [*UNSHARE, sys.executable, "-m", "tests.deploy.empty_machine", str(folder)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    said = done.stdout + done.stderr
    (folder / "transcript").write_text(said)
    if done.returncode:
        refused = re.findall(r"^.* FAILURE .*(?:\n .*)*", said, re.MULTILINE)
        pytest.fail("\n".join([said[-4000:], "The script ended before its end.", *refused]), pytrace=False)


def script() -> str:
    """The commands of the page as far as the backup, with what is tried between them."""
    parts = [BEGIN]
    for section in SECTIONS[:2]:
        parts += list_blocks(section)
    return "\n".join([*parts, SERVING, list_blocks(BACKUP)[0], SAVING])


def script_elsewhere() -> str:
    """The commands of the page for another machine that takes over."""
    blocks = list_blocks(SECTIONS[0])
    installed_by = next(number for number, block in enumerate(blocks) if "make install" in block)
    return "\n".join(["set -euo pipefail", *blocks[: installed_by + 1], BRINGING, *list_blocks(BACKUP)[1:], RESTORED])


def test_a_question_is_answered_with_its_source_behind_nginx(told: Path) -> None:
    answer = json.loads((told / "answer.json").read_text())
    assert answer["answered"]
    assert answer["citations"][0]["title"], answer
    dependencies = json.loads((told / "health.json").read_text())["dependencies"]
    assert [dependencies[store] for store in ("database", "index", "redis")] == ["ok"] * 3
    assert "checkpoint:" in (told / "conversations").read_text()


def test_every_command_acts_on_the_stores_of_the_service_and_as_its_user(told: Path) -> None:
    stores = (
        "Stores: postgresql:///pustaka, redis://127.0.0.1:6379/0, index in /var/lib/pustaka. Settings: "
        "/etc/systemd/system/pustaka-api.service, /etc/pustaka.env; user pustaka."
    )
    flask, stray = (told / "by_flask").read_text(), (told / "stray").read_text()
    assert flask.startswith(f"{stores}\n")
    assert stray.startswith(f"{stores} Set in this shell, but ignored: DATABASE_URI, DATA_DIR.\n")
    for said in (flask, stray):
        assert "to try it" in said
        assert "PostgreSQL at its socket" in said
    assert re.search(r"^DATABASE_URI +warning +It is set in this shell, but ignored", stray, re.MULTILINE)
    assert (told / "of_root").read_text() == ""
    for made in ("no_data", "no_stray"):
        assert "No such file" in (told / made).read_text()
    refused = (told / "nobody").read_text()
    assert "runs as user pustaka, and commands must run as that user. Type: sudo pustaka api-key create" in refused


def test_units_that_are_changed_or_of_an_earlier_version_are_understood(told: Path) -> None:
    override, earlier = (told / "override").read_text(), (told / "earlier").read_text()
    assert "redis://127.0.0.1:6379/0, http://127.0.0.1:6333. Settings:" in override
    assert earlier.startswith("Stores: postgresql:///pustaka, redis://127.0.0.1:6379/0, index in /var/lib/pustaka. ")
    assert "/etc/pustaka.env; user pustaka." in earlier
    closed = (told / "closed").read_text()
    assert "/etc/pustaka.env cannot be read (Permission denied). Let the service's group read it" in closed
    assert "chgrp pustaka /etc/pustaka.env; chmod 640 /etc/pustaka.env" in closed
    assert "handbook.zip" in (told / "export").read_text()
    assert "Permission denied" in (told / "export").read_text()


def test_a_reload_says_what_it_took_up_what_waits_and_what_it_refuses(told: Path) -> None:
    assert "Reloaded. Changed: RATE_LIMIT_PER_HOUR.\n" in (told / "transcript").read_text()
    port = (told / "port").read_text()
    assert "Reloaded. No setting has changed. Changed, but not before a restart: PORT.\n" in port
    assert port.count("LLM_MODLE in /etc/pustaka.env is not known to the service. Is LLM_MODEL meant?\n") == 1
    refused = (told / "refused").read_text()
    assert "Not reloaded, the service goes on as it was: RATE_LIMIT_PER_HOUR: Has to be a whole number" in refused


def test_a_revoked_key_opens_nothing(told: Path) -> None:
    assert json.loads((told / "before.json").read_text())["answered"]
    assert "every worker refuses it within 10 seconds" in (told / "revoked").read_text()
    assert json.loads((told / "after.json").read_text())["status"] == 401


def test_a_backup_is_started_on_another_machine(elsewhere: Path) -> None:
    """With its keys, its conversations and its documents, under the key of a client of the first."""
    conversation = (elsewhere / "conversation.json").read_text()
    assert "How much does a dormitory room cost?" in conversation
    restored = json.loads((elsewhere / "restored.json").read_text())
    assert restored["answered"]
    assert restored["citations"][0]["title"]
    assert "IDR 650,000" in (elsewhere / "source.html").read_text()
