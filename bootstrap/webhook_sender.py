"""Webhooks: told what waits for them, by the one process that does the work in the background."""

import asyncio
from functools import partial
from ipaddress import ip_network

from config import Settings
from domain.db import Database
from domain.in_thread import read, write
from domain.webhook_deliveries import ClaimedDelivery, claim, forget, is_any_waiting, list_due, settle
from domain.webhook_messages import make_message
from providers.webhooks import send
from utils.checkpointer.cipher import Keyring
from utils.errors import NotFound, ProblemError
from utils.loops import log_pause, repeat
from utils.outbound import Guard
from utils.reach import Reach

_POLL_S = 1.0
_AT_ONCE = 16  # webhooks; of one, one message after the other
_OF_A_TENANT = 4  # so that one whose servers hang does not keep others waiting
_IN_A_ROW = 50  # messages, after which others come first
_NAME = "Sending to webhooks"


def make_webhook_reach(settings: Settings) -> Reach:
    """Where webhooks may be: public addresses, and those of WEBHOOK_NETWORKS."""
    return Reach(tuple(map(ip_network, settings.webhook_networks)), ports=None)


class WebhookSender:
    """Sends what is due. A message goes out at least once: whoever is killed while it sends leaves it to be sent again.

    *keys* decrypt secrets, questions and ratings.
    """

    def __init__(self, database: Database, keys: Keyring | None, reach: Reach) -> None:
        self._database, self._keys, self._reach = database, keys, reach
        self._busy: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._guard: Guard | None = None

    async def run(self) -> None:
        """Do so until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            await repeat(_NAME, partial(self._begin_due, tasks), get_poll_s=lambda: _POLL_S, wake=self._wake)

    async def _begin_due(self, tasks: asyncio.TaskGroup) -> None:
        if not await asyncio.to_thread(is_any_waiting, self._database):
            return
        for address in await read(self._database, list_due):
            if self._has_room(address):
                self._busy.add(address)
                tasks.create_task(self._send_due(address))

    def _has_room(self, address: tuple[str, str]) -> bool:
        of_tenant = sum(tenant_id == address[0] for tenant_id, _ in self._busy)
        return address not in self._busy and len(self._busy) < _AT_ONCE and of_tenant < _OF_A_TENANT

    async def _send_due(self, address: tuple[str, str]) -> None:
        try:
            for _ in range(_IN_A_ROW):
                claimed = await write(self._database, partial(claim, tenant_id=address[0], webhook_id=address[1]))
                if claimed is None or not await self._send(claimed):
                    return
            self._wake.set()
        except Exception as exc:  # the others go on; it is found again
            log_pause(_NAME, exc, _POLL_S)
        finally:
            self._busy.discard(address)

    async def _send(self, claimed: ClaimedDelivery) -> bool:
        """Whether the webhook takes messages."""
        try:
            message = await read(self._database, partial(make_message, claimed=claimed, keys=self._keys))
        except NotFound:
            return False
        except ProblemError as exc:
            failure: str | None = exc.detail
        else:
            if message is None:
                await write(self._database, partial(forget, claimed=claimed))
                return True
            failure = await send(
                message.url,
                await self._load_guard(),
                secret=message.secret,
                message_id=message.message_id,
                body=message.body,
            )
        await write(self._database, partial(settle, claimed=claimed, failure=failure))
        return failure is None

    async def _load_guard(self) -> Guard:
        if self._guard is None:
            self._guard = await asyncio.to_thread(Guard.load, self._reach)
        return self._guard
