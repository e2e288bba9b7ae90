"""Whether the service can work with a Redis: is it one, which one, and may we do there what we have to."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from itertools import zip_longest
from typing import Any, cast

import redis.asyncio
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from .address import Address
from .clients import AsyncClient, Timeouts, open_client
from .errors import StoreRefused, StoreUnavailable
from .keys import make_state_key, make_summary_key
from .redis_errors import ErrorContext, is_refusal

Facts = Mapping[str, Any]

OLDEST_VERSION = 5
RIGHTS = "~checkpoint:* ~state:* ~lease:* ~limit:* ~run:* ~runs:* +@read +@write +@scripting +@connection +info"
_CLUSTER_RIGHTS = "+command +cluster|slots"
FIRST_COMMANDS = ("SET - PX 1000", "DEL")
STRING_COMMANDS = ("SET - NX PX 1000", "GET", "PEXPIRE 1000", "PTTL", "EXISTS", "UNLINK")
HASH_COMMANDS = (
    *("HSET a 1", "HSETNX b 1", "HMSET c 1", "PEXPIRE 1000", "HINCRBY a 1", "HGET a", "HMGET a b", "HKEYS", "HGETALL"),
    *("HEXISTS a", "HSTRLEN a", "HDEL a"),
)
_STREAM_COMMANDS = ("XADD 1-0 a 1", "XRANGE - +", "XREVRANGE - + COUNT 1", "PEXPIRE 1000")
_QUEUE_COMMANDS = ("ZADD 1 a", "ZRANGEBYSCORE 0 1 LIMIT 0 1", "ZSCORE a", "ZREM a")
_COUNTER_COMMANDS = ("ZADD 1 a", "PEXPIRE 1000", "ZREMRANGEBYSCORE 0 0", "ZCARD", "ZRANGE 0 0 WITHSCORES")


async def examine(address: Address, timeouts: Timeouts) -> list[str]:
    """Find out whether the service can work at *address*, writing nothing that lasts. Gives warnings, maybe none.

    Raises:
        StoreUnavailable: nothing answers there now.
        StoreRefused: what answers is wrong, and waiting does not help; the message says what to change.
    """
    client = open_client(address, timeouts)
    try:
        context = ErrorContext(str(address), address.hosts, address.tls, timeouts.connect_timeout_s)
        if address.kind == "sentinel":
            context = await _ask_sentinels(client, address, timeouts)
        async with _explain_errors(context):
            await _try(client, address, "", "PING")
            facts = await _ask_facts(client)
            for node in facts:
                _refuse_unfit(node, address)
            await _try_rights(client, address)
        return list(dict.fromkeys(warning for node in facts for warning in _list_warnings(node, address)))
    finally:
        await client.aclose()


@asynccontextmanager
async def _explain_errors(context: ErrorContext) -> AsyncIterator[None]:
    try:
        yield
    except StoreUnavailable:
        raise
    except (RedisError, OSError, TypeError, ValueError, LookupError) as exc:
        raise await context.explain(exc) from exc


async def _ask_sentinels(client: AsyncClient, address: Address, timeouts: Timeouts) -> ErrorContext:
    """Ask the Sentinels about the master. Gives the context for errors that come from it."""
    context = ErrorContext(
        f"{address} (a Sentinel)",
        address.hosts,
        address.tls,
        timeouts.connect_timeout_s,
        "REDIS_URL's sentinel_password",
    )
    async with _explain_errors(context):
        master = await _ask_first(cast(Any, client).sentinels.sentinels, address)
    host = str(master["ip"]), int(master["port"])
    where = f"{host[0]}:{host[1]} (the Sentinels' master {address.service!r})"
    return ErrorContext(where, (host,), address.tls, timeouts.connect_timeout_s)


async def _ask_first(sentinels: Sequence[redis.asyncio.Redis], address: Address) -> Mapping[str, Any]:
    failure: BaseException = LookupError("no Sentinel")
    for sentinel in sentinels:
        try:
            masters = cast(Mapping[str, Any], await sentinel.sentinel_masters())
        except (RedisError, OSError, ValueError, LookupError) as exc:
            failure = exc  # another one may answer
        else:
            return _find_master(masters, address)
    raise failure


def _find_master(masters: Mapping[str, Any], address: Address) -> Mapping[str, Any]:
    if address.service not in masters:
        named = ", ".join(sorted(masters)) or "none"
        raise StoreRefused(
            f"The Sentinel at {address} knows no master {address.service!r}, only: {named}. Correct it in REDIS_URL."
        )
    master: Mapping[str, Any] = masters[address.service]
    if master["is_sdown"] or master["is_odown"]:
        raise StoreUnavailable(f"The Sentinels at {address} say that {address.service!r} is down.")
    return master


async def _ask_facts(client: AsyncClient) -> list[Facts]:
    """What each server says about itself and how it saves; nothing of what our user may not ask."""
    infos, saving = await ask_each(client, "INFO"), await ask_each(client, "CONFIG GET", "save")
    return [{**facts, **(saves or {})} for facts, saves in zip_longest(infos, saving)]


async def ask_each(client: AsyncClient, *command: str) -> list[Any]:
    """The reply of each server to *command*; none where our user may not ask."""
    try:
        if isinstance(client, redis.asyncio.RedisCluster):
            nodes = client.get_primaries()
            return [await client.execute_command(*command, target_nodes=node) for node in nodes]
        return [await client.execute_command(*command)]
    except ResponseError as exc:
        # Many who offer Redis as a service allow no look at it, or have renamed the command.
        if is_refusal(exc) or "unknown command" in str(exc):
            return []
        raise


def _refuse_unfit(facts: Facts, address: Address) -> None:
    version = str(facts.get("redis_version", ""))
    mode = facts.get("redis_mode") or facts.get("server_mode")
    where = f"Redis at {address}"
    if version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < OLDEST_VERSION:
        raise StoreRefused(f"{where} is version {version}: at least {OLDEST_VERSION} is needed.")
    if mode == "sentinel":
        raise StoreRefused(f"What answers at {address} is a Sentinel: REDIS_URL=redis+sentinel://{address}/NAME.")
    if mode == "cluster" and address.kind != "cluster":
        raise StoreRefused(f"{where} is a node of a cluster: begin REDIS_URL with redis+cluster:// instead.")
    if facts.get("role") == "slave" and address.kind == "server":
        raise StoreRefused(f"{where} is a replica: REDIS_URL must lead to its master.")


async def _try_rights(client: AsyncClient, address: Address) -> None:
    """Do once what the service will do, on keys of its kinds that nobody else uses.

    Raises:
        StoreRefused: our user may not.
    """
    probe = f"check-{uuid.uuid4().hex}"
    source = (files(str(__package__)) / "lua" / "check.lua").read_text()
    for pattern, key, commands in (
        ("checkpoint:*", make_summary_key(probe), STRING_COMMANDS),
        ("state:*", make_state_key(probe), HASH_COMMANDS),
        ("lease:*", f"lease:{probe}", HASH_COMMANDS),
        ("limit:*", f"limit:{probe}", _COUNTER_COMMANDS),
        ("run:*", f"run:{probe}", _STREAM_COMMANDS),
        ("runs:*", f"runs:{probe}", _QUEUE_COMMANDS),
    ):
        await _try(client, address, pattern, "EVALSHA", "0" * 40, 1, key)
        refused = await _try(client, address, pattern, "EVAL", source, 1, key, *FIRST_COMMANDS, *commands)
        if refused:
            command, reason = refused[0].decode(), ResponseError(refused[1].decode().removeprefix("ERR "))
            raise _explain_denial(address, command) if is_refusal(reason) else reason
    await _try(client, address, "", "SCRIPT LOAD", source)
    await _try(client, address, "", "SCAN", 0, "COUNT", 1)
    await _try(client, address, "state:*", "UNLINK", make_state_key(probe))


async def _try(client: AsyncClient, address: Address, pattern: str, *call: str | int) -> Any:
    """The reply to a command; *pattern* is of which keys it is used."""
    try:
        return await client.execute_command(*call)
    except NoScriptError:
        return None
    except NoPermissionError as exc:
        raise _explain_denial(address, f"keys {pattern}" if "one of the keys" in str(exc) else str(call[0])) from exc


def _explain_denial(address: Address, what: str) -> StoreRefused:
    rights = f"{RIGHTS} {_CLUSTER_RIGHTS}" if address.kind == "cluster" else RIGHTS
    return StoreRefused(
        f"The user that REDIS_URL names may not use {what} on Redis at {address}. What the service needs: "
        f"ACL SETUSER <name> {rights}"
    )


def _list_warnings(facts: Facts, address: Address) -> list[str]:
    warnings = []
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory") and policy != "noeviction":
        warnings.append(
            f"Redis at {address} removes keys when it is full (maxmemory-policy {policy}), so conversations may "
            "end before CONVERSATION_TTL: set maxmemory-policy noeviction there."
        )
    if facts.get("aof_enabled") == 0 and facts.get("save") == "":
        warnings.append(
            f"Redis at {address} keeps nothing on disk, so its next restart loses all conversations: set "
            "appendonly yes there."
        )
    elif facts.get("aof_enabled") == 0:
        warnings.append(
            f"Redis at {address} has no append-only file, so it loses what came since its last snapshot when it fails: "
            "set appendonly yes there."
        )
    return warnings
