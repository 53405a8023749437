"""A checkpointer's PostgreSQL database: streamed from one state of it, and never a password shown."""

import json
import pickle
import socket
import sys
import tempfile
import time
from urllib.parse import quote

import ormsgpack
import psycopg
import pytest
from fakes import make_attempt, make_run
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.postgres import PostgresSaver
from postgres_server import postgres_server
from psycopg.conninfo import make_conninfo

from drr_agent.errors import DataError, MissingExtraError
from drr_agent.training.sources.postgres import PostgresReader, is_postgres
from drr_agent.training.sources.protocol import LoggedRun, LostEntry

PLAIN = ormsgpack.packb(make_run("plain"))
WRITES = "insert into checkpoint_writes values (%s, '', %s, 'task', %s, %s, %s, %s)"


@pytest.fixture(scope="module")
def server():
    with postgres_server() as address:
        yield address


@pytest.fixture
def database(server, request):
    """The address of a database with a saver's tables, and a connection to it."""
    name = f"test_{abs(hash(request.node.name)):x}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    address = make_conninfo(server, dbname=name)
    with psycopg.connect(address, autocommit=True) as connection:
        PostgresSaver(connection).setup()
        yield address, connection


def write(connection, *rows):
    """Writes, each on a checkpoint of its own: thread, channel, kind and value."""
    for number, (thread, channel, kind, blob) in enumerate(rows):
        connection.execute(WRITES, (thread, str(number), 0, channel, kind, blob))
        connection.execute("insert into checkpoints values (%s, '', %s, null, null, '{}', '{}')", (thread, str(number)))


def read(address):
    return list(PostgresReader(dsn=address).entries())


# --- addresses -------------------------------------------------------------------------------------------------------

ADDRESSES = {
    "postgresql://localhost/app": "postgresql://localhost/app",
    "postgres://ann@localhost:5432/app": "postgres://ann@localhost:5432/app",
    "postgresql://ann:s3cret@localhost/app": "postgresql://ann@localhost/app",
    "postgresql://ann:s3cr%40et@h1:1,h2:2/app?sslmode=require": "postgresql://ann@h1:1,h2:2/app",
    "postgresql://ann:s3cr@et/x?#@localhost/app": "postgresql://ann@localhost/app",
    "postgresql:///app?host=/run&user=ann&password=s3cret&sslpassword=s3cret&x=1": (
        "postgresql:///app?host=/run&user=ann"
    ),
    "postgres:///app?options=-c%20x%3Ds3cret&passfile=/s3cret&service=s&port=1": "postgres:///app?service=s&port=1",
    "postgresql://h/app?sslkey=s3cret&h%6Fst=one&=s3cret&s3cret": "postgresql://h/app?h%6Fst=one",
    "host=localhost password=s3cret dbname=app": "host=localhost dbname=app",
    "dbname=app PASSWORD = 's3cret \\' s3cret' user=ann": "dbname=app user=ann",
    "service=s options='-c x=s3cret' sslpassword=s3cret": "service=s",
    "user = ann passfile=/s3cret port=1 host='a b'": "user=ann port=1 host='a b'",
    "password='host=s3cret' user=ann": "user=ann",
    "password=": "(the default server)",
    "host=h password=s3cret'": "(an address that cannot be read)",
}


@pytest.mark.parametrize(("address", "shown"), ADDRESSES.items(), ids=range(len(ADDRESSES)))
def test_an_address_is_shown_without_its_passwords(address, shown):
    assert is_postgres(address)
    reader = PostgresReader(dsn=address)
    assert (reader.location, reader.kind) == (shown, "postgres")
    assert "s3cr" not in repr(reader)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.booleans())
def test_no_password_is_shown(password, as_uri):
    secret = f"s3cr{password}s3cr"
    uri = f"postgresql://ann:{quote(secret, safe='@:?&=')}@localhost/app?user=ann"
    address = uri if as_uri else make_conninfo(host="localhost", password=secret, sslpassword=secret, dbname="app")
    shown = PostgresReader(dsn=address).location
    assert "s3cr" not in shown
    assert "localhost" in shown


@pytest.mark.parametrize("other", ["runs.jsonl", "postgres.sqlite", "/data/postgresql", "mysql://h/d", "C:\\x", ""])
def test_other_sources_are_no_addresses(other):
    assert not is_postgres(other)


@pytest.mark.parametrize(
    ("address", "variable", "seconds"),
    [
        pytest.param("host=h", None, 10, id="by default"),
        pytest.param("host=h connect_timeout=3", None, None, id="given"),
        pytest.param("postgresql://h/app?connect_timeout=3", None, None, id="given in a URI"),
        pytest.param("host=h", "3", None, id="given by the environment"),
    ],
)
def test_a_host_is_waited_for_as_long_as_is_said(monkeypatch, address, variable, seconds):
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    if variable is not None:
        monkeypatch.setenv("PGCONNECT_TIMEOUT", variable)
    asked = {}
    monkeypatch.setattr(psycopg, "connect", lambda dsn, **settings: asked.update(settings) or not_there())
    with pytest.raises(DataError, match="nobody there"):
        read(address)
    assert asked.get("connect_timeout") == seconds


def not_there():
    raise psycopg.OperationalError("nobody there")


def test_a_host_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    monkeypatch.setattr("drr_agent.training.sources.postgres._CONNECT_SECONDS", 2)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{folder}/.s.PGSQL.5432")
        silent.listen()
        with pytest.raises(DataError, match="timeout"):
            read(f"host={folder} dbname=app")
    assert time.monotonic() - begun < 20


UNREACHABLE = [
    "host={folder} user=drr password=s3cret",
    "postgresql://ann:s3cret@/app?host={folder}",
    "postgresql://ann:s3cr@et@/app?host={folder}",
    "postgresql://ann:s3cr/et@localhost:nowhere/app",
    "postgresql://ann:s3%zzcret@localhost/app",
    "host={folder} password='s3cret",
    "host={folder} password=s3 cret",
    "host=elsewhere password=s3cret",
    "postgresql://ann:s3cret@[::1",
]


@pytest.mark.parametrize("address", UNREACHABLE, ids=range(len(UNREACHABLE)))
def test_what_cannot_be_reached_says_so_without_its_password(tmp_path, monkeypatch, address):
    def getaddrinfo(host, *_, **__):
        raise socket.gaierror(f"nobody knows {host}")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(DataError, match="expected the tables of a PostgresSaver at") as caught:
        read(address.format(folder=tmp_path))
    said = str(caught.value) + repr(caught.value.__cause__)
    assert "s3" not in said
    assert "cret" not in said


def test_a_database_without_the_tables_says_so(server):
    with pytest.raises(DataError, match=r'relation "checkpoints" does not exist.*check the address'):
        read(server)


def test_a_driver_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"drr-agent\[postgres\]"):
        read("postgresql://localhost/app")


# --- reading ---------------------------------------------------------------------------------------------------------


def test_runs_come_by_thread_and_start(database):
    address, connection = database
    order = [("b", "2026-01-02", "r1"), ("é", "2026-01-01", "r0"), ("a", "2026-01-04", "r3"), ("a", "2026-01-03", "r9")]
    runs = [make_run(name, started_at=at) for _, at, name in order]
    write(
        connection,
        *((thread, "drr", "msgpack", ormsgpack.packb(run)) for (thread, *_), run in zip(order, runs, strict=True)),
    )
    found = read(address)
    assert [entry.run["run_id"] for entry in found] == ["r9", "r3", "r1", "r0"]
    assert found[0] == LoggedRun("thread a checkpoint 3", runs[3])


def test_many_threads_are_read_in_parts(database):
    address, connection = database
    rows = [(f"{number:04}", "drr", "msgpack", ormsgpack.packb(make_run(str(number)))) for number in range(1, 451)]
    rows.insert(0, ("none", "other", "msgpack", b""))
    write(connection, *rows)
    connection.execute("delete from checkpoints where thread_id > '0440'")
    found = read(address)
    assert sorted(int(entry.run["run_id"]) for entry in found) == list(range(1, 451))
    assert len({entry.place for entry in found}) == 450


def test_a_reader_sees_one_state_and_needs_no_more_than_to_select(database):
    address, connection = database
    write(connection, *((f"t{n:03}", "drr", "msgpack", ormsgpack.packb(make_run(str(n)))) for n in range(300)))
    connection.execute("create role onlooker login; grant select on all tables in schema public to onlooker")
    entries = PostgresReader(dsn=make_conninfo(address, user="onlooker")).entries()
    next(entries)
    connection.execute("delete from checkpoint_writes")
    assert sum(1 for _ in entries) == 299
    assert read(address) == []
    connection.execute("drop owned by onlooker; drop role onlooker")


def test_a_reader_cannot_write(database, monkeypatch):
    address, connection = database
    connection.execute("create sequence numbers")
    monkeypatch.setattr("drr_agent.training.sources.postgres._THREADS", "select nextval('numbers')::text")
    with pytest.raises(DataError, match="read-only transaction"):
        read(address)


def test_a_reader_that_is_left_lets_go(database):
    address, connection = database
    write(connection, *((f"t{n}", "drr", "msgpack", ormsgpack.packb(make_run(str(n)))) for n in range(3)))
    entries = PostgresReader(dsn=address).entries()
    next(entries)
    entries.close()
    open_ones = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    deadline = time.monotonic() + 30  # a server process ends some time after its client has left
    while (left := connection.execute(open_ones).fetchone()) != (0,) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == (0,)


def test_a_connection_that_breaks_says_so(database):
    address, connection = database
    write(connection, *((f"t{n:03}", "drr", "msgpack", ormsgpack.packb(make_run(str(n)))) for n in range(300)))
    entries = PostgresReader(dsn=address).entries()
    next(entries)
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where pid <> pg_backend_pid() and datname = current_database()"
    )
    with pytest.raises(DataError, match="expected the tables of a PostgresSaver"):
        list(entries)


DAMAGED = {
    "torn": ("msgpack", PLAIN[:-5], "torn or invalid msgpack"),
    "a pickle": ("pickle", pickle.dumps(make_run()), "stored as 'pickle'"),
    "encrypted": ("msgpack+aes", PLAIN, "stored as 'msgpack"),
    "of no kind": (None, PLAIN, "stored as None"),
    "empty": ("msgpack", b"", "torn or invalid msgpack"),
    "of somebody else": ("msgpack", ormsgpack.packb(0.5), "not a run"),
    "no number": ("json", json.dumps(make_run(score=float("inf"))).encode(), "inf is no number"),
}


@pytest.mark.parametrize(("kind", "blob", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_row_costs_itself(database, kind, blob, reason):
    address, connection = database
    write(connection, ("a", "drr", kind, blob), ("a", "other", "pickle", b""), ("b", "drr", "msgpack", PLAIN))
    [lost, kept] = read(address)
    assert isinstance(lost, LostEntry)
    assert (lost.place, lost.flaw.reason) == ("thread a checkpoint 0", "unreadable")
    assert reason in lost.flaw.detail
    assert kept.run == make_run("plain")


def test_a_damaged_state_costs_itself(database):
    address, connection = database
    held = json.dumps({"channel_versions": {"drr": "1", "drr_start": 2, "other": "3"}})
    connection.execute("insert into checkpoints values ('a', '', '1', null, null, %s, '{\"step\": \"x\"}')", (held,))
    connection.execute("insert into checkpoints values ('b', '', '1', null, null, '[]', '[]')")
    connection.execute("insert into checkpoint_blobs values ('a', '', 'drr', '1', 'msgpack', %s)", (PLAIN[:-5],))
    connection.execute("insert into checkpoint_blobs values ('a', '', 'other', '3', 'pickle', %s)", (b"",))
    [lost] = read(address)
    assert (lost.place, lost.flaw.detail.split(" (")[0]) == ("thread a checkpoint 1", "torn or invalid msgpack")


def test_ten_megabytes_pass(database):
    address, connection = database
    run = make_run(attempts=[make_attempt(rationale="x" * 10**7)])
    write(connection, ("a", "drr", "msgpack", ormsgpack.packb(run)))
    assert [entry.run for entry in read(address)] == [run]
