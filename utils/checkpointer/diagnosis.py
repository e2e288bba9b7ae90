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
from .clients import AsyncClient, Patience, async_client
from .errors import StoreRefused, StoreUnavailable
from .keys import state_key, summary_key
from .verdicts import Witness, is_refusal

Facts = Mapping[str, Any]

OLDEST_VERSION = 5
RIGHTS = "~checkpoint:* ~state:* ~lease:* ~limit:* ~run:* ~runs:* +@read +@write +@scripting +@connection +info"
_CLUSTER_RIGHTS = "+command +cluster|slots"
_END_AND_REMOVAL = ("SET - PX 1000", "DEL")
_OF_STRINGS = ("SET - NX PX 1000", "GET", "PEXPIRE 1000", "PTTL", "EXISTS", "UNLINK")
_OF_HASHES = (
    *("HSET a 1", "HSETNX b 1", "HMSET c 1", "PEXPIRE 1000", "HINCRBY a 1", "HGET a", "HMGET a b", "HKEYS", "HGETALL"),
    *("HEXISTS a", "HSTRLEN a", "HDEL a"),
)
_OF_STREAMS = ("XADD 1-0 a 1", "XRANGE - +", "XREVRANGE - + COUNT 1", "PEXPIRE 1000")
_OF_QUEUES = ("ZADD 1 a", "ZRANGEBYSCORE 0 1 LIMIT 0 1", "ZSCORE a", "ZREM a")
_OF_COUNTERS = ("ZADD 1 a", "PEXPIRE 1000", "ZREMRANGEBYSCORE 0 0", "ZCARD", "ZRANGE 0 0 WITHSCORES")


async def examine(address: Address, patience: Patience) -> list[str]:
    """Find out whether the service can work at *address*, writing nothing that lasts. Gives warnings, maybe none.

    Raises:
        StoreUnavailable: nothing answers there now.
        StoreRefused: what answers is wrong, and waiting does not help; the message says what to change.
    """
    client = async_client(address, patience)
    try:
        witness = Witness(str(address), address.hosts, address.tls, patience.connect_timeout_s)
        if address.kind == "sentinel":
            witness = await _introduced(client, address, patience)
        async with _judged(witness):
            await _tried(client, address, "", "PING")
            facts = await _facts(client)
            for node in facts:
                _refuse_unfit(node, address)
            await _try_rights(client, address)
        return list(dict.fromkeys(warning for node in facts for warning in _warnings(node, address)))
    finally:
        await client.aclose()


@asynccontextmanager
async def _judged(witness: Witness) -> AsyncIterator[None]:
    try:
        yield
    except StoreUnavailable:
        raise
    except (RedisError, OSError, TypeError, ValueError, LookupError) as exc:
        raise await witness.verdict(exc) from exc


async def _introduced(client: AsyncClient, address: Address, patience: Patience) -> Witness:
    """Ask the Sentinels about the master. Gives the witness for errors that come from it."""
    asked = Witness(
        f"{address} (a Sentinel)",
        address.hosts,
        address.tls,
        patience.connect_timeout_s,
        "REDIS_URL's sentinel_password",
    )
    async with _judged(asked):
        master = await _master(cast(Any, client).sentinels.sentinels, address)
    host = str(master["ip"]), int(master["port"])
    where = f"{host[0]}:{host[1]} (the Sentinels' master {address.service!r})"
    return Witness(where, (host,), address.tls, patience.connect_timeout_s)


async def _master(sentinels: Sequence[redis.asyncio.Redis], address: Address) -> Mapping[str, Any]:
    failure: BaseException = LookupError("no Sentinel")
    for sentinel in sentinels:
        try:
            known = cast(Mapping[str, Any], await sentinel.sentinel_masters())
        except (RedisError, OSError, ValueError, LookupError) as exc:
            failure = exc  # another one may answer
        else:
            return _named(known, address)
    raise failure


def _named(known: Mapping[str, Any], address: Address) -> Mapping[str, Any]:
    if address.service not in known:
        named = ", ".join(sorted(known)) or "none"
        raise StoreRefused(
            f"The Sentinel at {address} knows no master {address.service!r}, only: {named}. Correct it in REDIS_URL."
        )
    found: Mapping[str, Any] = known[address.service]
    if found["is_sdown"] or found["is_odown"]:
        raise StoreUnavailable(f"The Sentinels at {address} say that {address.service!r} is down.")
    return found


async def _facts(client: AsyncClient) -> list[Facts]:
    """What each server says about itself and how it saves; nothing of what our user may not ask."""
    told, saving = await _of_each(client, "INFO"), await _of_each(client, "CONFIG GET", "save")
    return [{**facts, **(saves or {})} for facts, saves in zip_longest(told, saving)]


async def _of_each(client: AsyncClient, *command: str) -> list[Any]:
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
        ("checkpoint:*", summary_key(probe), _OF_STRINGS),
        ("state:*", state_key(probe), _OF_HASHES),
        ("lease:*", f"lease:{probe}", _OF_HASHES),
        ("limit:*", f"limit:{probe}", _OF_COUNTERS),
        ("run:*", f"run:{probe}", _OF_STREAMS),
        ("runs:*", f"runs:{probe}", _OF_QUEUES),
    ):
        await _tried(client, address, pattern, "EVALSHA", "0" * 40, 1, key)
        refused = await _tried(client, address, pattern, "EVAL", source, 1, key, *_END_AND_REMOVAL, *commands)
        if refused:
            command, reason = refused[0].decode(), ResponseError(refused[1].decode().removeprefix("ERR "))
            raise _forbidden(address, command) if is_refusal(reason) else reason
    await _tried(client, address, "", "SCRIPT LOAD", source)
    await _tried(client, address, "", "SCAN", 0, "COUNT", 1)
    await _tried(client, address, "state:*", "UNLINK", state_key(probe))


async def _tried(client: AsyncClient, address: Address, pattern: str, *call: str | int) -> Any:
    """The reply to a command; *pattern* is of which keys it is used."""
    try:
        return await client.execute_command(*call)
    except NoScriptError:
        return None
    except NoPermissionError as exc:
        raise _forbidden(address, f"keys {pattern}" if "one of the keys" in str(exc) else str(call[0])) from exc


def _forbidden(address: Address, what: str) -> StoreRefused:
    rights = f"{RIGHTS} {_CLUSTER_RIGHTS}" if address.kind == "cluster" else RIGHTS
    return StoreRefused(
        f"The user that REDIS_URL names may not use {what} on Redis at {address}. What the service needs: "
        f"ACL SETUSER <name> {rights}"
    )


def _warnings(facts: Facts, address: Address) -> list[str]:
    found = []
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory") and policy != "noeviction":
        found.append(
            f"Redis at {address} removes keys when it is full (maxmemory-policy {policy}), so conversations may "
            "end before CONVERSATION_TTL: set maxmemory-policy noeviction there."
        )
    if facts.get("aof_enabled") == 0 and facts.get("save") == "":
        found.append(
            f"Redis at {address} keeps nothing on disk, so its next restart loses all conversations: set "
            "appendonly yes there."
        )
    return found
