"""What is demanded of a PostgreSQL, and what is said of one that refuses or is not there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from dnsguard.core.history import StoreUnavailable
from dnsguard.store.address import StoreUnusable
from dnsguard.store.database import Database
from dnsguard.store.engine import Bounds, make_engine
from tests.servers import require
from tests.servers.postgresql import Postgresql
from tests.servers.process import free_port

READ_ONLY = "DO $$ BEGIN SET LOCAL transaction_read_only = on; CREATE TABLE made (one int); END $$"


async def said(url: str, statement: str = "SELECT 1", bounds: Bounds | None = None) -> str:
    """Return the sentence with which a statement fails; the password is never part of it."""
    database = Database(make_engine(url, bounds=bounds))
    with pytest.raises(StoreUnavailable) as caught:
        await database.write(lambda conn: conn.exec_driver_sql(statement).close())
    await database.close()
    sentence = str(caught.value)
    assert url.partition("//dnsguard:")[2].partition("@")[0] not in sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("setting", ["off", "local", "remote_write"])
async def test_a_database_that_could_lose_what_it_acknowledged_is_refused(
    postgresql: Postgresql, postgresql_url: str, setting: str
) -> None:
    name = postgresql_url.rpartition("/")[2]
    await postgresql.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {setting}')
    assert f"synchronous_commit = on, found {setting}: it could lose" in await said(postgresql_url)


async def test_a_server_without_fsync_is_refused() -> None:
    async with await Postgresql.start(settings={"fsync": "off"}) as server:
        assert "fsync = on, found off: it could lose" in await said(server.url())


async def test_what_refuses_or_is_missing_is_said_with_what_to_do(postgresql: Postgresql) -> None:
    url = postgresql.url()
    assert "found user or password refused" in await said(url.replace(postgresql.password, "hunter2"))
    assert "create it" in await said(postgresql.url("absent"))
    assert "expected to reach" in await said(postgresql.url(via=("127.0.0.1", free_port())))
    assert "run 'dnsguard migrate'" in await said(url, "SELECT * FROM zones")
    assert "statement_s_max" in await said(url, "SELECT pg_sleep(60)", Bounds(statement_s_max=0.05))
    assert "it is a standby" in await said(url, READ_ONLY)


async def test_who_waits_for_a_lock_too_long_is_told(postgresql_url: str) -> None:
    holder = make_engine(postgresql_url)
    async with holder.begin() as conn:
        await conn.exec_driver_sql("LOCK TABLE zones")
        found = await said(postgresql_url, "UPDATE zones SET halted = ''", Bounds(lock_s_max=0.05))
    await holder.dispose()
    assert "locked by another program" in found


async def test_who_finds_no_free_connection_is_told(postgresql_url: str) -> None:
    bounds = Bounds(connections_max=1, statement_s_max=0.05)
    database = Database(make_engine(postgresql_url, bounds=bounds))
    async with database.engine.connect():
        with pytest.raises(StoreUnavailable, match="raise connections_max"):
            await database.read(lambda conn: conn.exec_driver_sql("SELECT 1").close())
    await database.close()


async def kind(url: str) -> type[StoreUnavailable]:
    """Return as what a database fails that refuses, or is not there."""
    database = Database(make_engine(url))
    with pytest.raises(StoreUnavailable) as caught:
        await database.write(lambda conn: conn.exec_driver_sql("SELECT 1").close())
    await database.close()
    return caught.type


async def test_what_a_person_must_change_is_told_apart_from_what_may_pass(postgresql: Postgresql) -> None:
    url = postgresql.url()
    assert issubclass(await kind(url.replace(postgresql.password, "hunter2")), StoreUnusable)
    assert issubclass(await kind(postgresql.url("absent")), StoreUnusable)
    assert not issubclass(await kind(postgresql.url(via=("127.0.0.1", free_port()))), StoreUnusable)
    assert not issubclass(await kind(postgresql.url(via=("name.invalid", 5432))), StoreUnusable)


async def test_the_connection_is_encrypted_and_the_server_proven_as_the_address_says(tmp_path: Path) -> None:
    one, other = (certificate(tmp_path, name) for name in ("one", "other"))
    async with await Postgresql.start() as server:
        await encrypt(server, one)
        for options, expected in {
            "sslmode=disable": False,
            "sslmode=require": True,
            "ssl=require": True,
            f"sslmode=verify-full&sslrootcert={one}": True,
        }.items():
            engine = make_engine(f"{server.url()}?{options}")
            async with engine.connect() as conn:
                asked = sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                assert await conn.scalar(asked) is expected, options
            await engine.dispose()
        assert "certificate" in await said(f"{server.url()}?sslmode=verify-full&sslrootcert={other}")


async def encrypt(server: Postgresql, proof: Path) -> None:
    """Start a server again with a certificate."""
    rows = await server.execute("ALTER SYSTEM SET ssl = on", "SHOW data_directory")
    hand_over(proof, Path(rows[0][0]))
    await server.stop()
    await server.restart()


def hand_over(proof: Path, folder: Path) -> None:
    """Put certificate and key where the server looks for them, as its own."""
    owner = folder.stat()
    for path, name in ((proof, "server.crt"), (proof.with_suffix(".key"), "server.key")):
        shutil.copy(path, folder / name)
        os.chown(folder / name, owner.st_uid, owner.st_gid)


def certificate(folder: Path, name: str) -> Path:
    """Make a certificate for 127.0.0.1, signed by itself, and its key beside it."""
    path = folder / f"{name}.crt"
    argv = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    argv += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run([require("openssl"), *argv], check=True, capture_output=True, timeout=60)
    path.with_suffix(".key").chmod(0o600)
    return path
