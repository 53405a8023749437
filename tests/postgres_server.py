"""A PostgreSQL server of a test's own: on a Unix socket, with no network and no durability, and gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
_START_SECONDS = 30


def find_binaries() -> Path | None:
    """The folder of `initdb` and `postgres`: the one on the path, else the newest where packages put them."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = [folder for place in _PLACES for folder in Path("/").glob(place[1:]) if (folder / "initdb").exists()]
    return max(found, key=_version, default=None)


def _version(folder: Path) -> list[int]:
    return [int(digits) for digits in "".join(c if c.isdigit() else " " for c in str(folder)).split()]


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server, give the address of its database, and stop it; skips the test where there are no binaries."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(
            f"NO POSTGRESQL: `initdb` is neither on the path nor in {', '.join(_PLACES)}; these tests did not run"
        )
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # the name of a socket may have 107 bytes
    owner = _owner()
    if owner:
        shutil.chown(folder, *owner.values())
    run = {**({**owner, "extra_groups": []} if owner else {}), "cwd": folder, "env": {**os.environ, "LC_ALL": "C"}}
    log = (folder / "log").open("wb")
    try:
        initdb = [
            binaries / "initdb",
            "--pgdata=data",
            "--username=drr",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
        ]
        subprocess.run(initdb, check=True, stdout=log, stderr=log, **run)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": folder,
            "fsync": "off",
            "full_page_writes": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        server = subprocess.Popen([binaries / "postgres", "-D", "data", *options], stdout=log, stderr=log, **run)
        try:
            address = f"host={folder} user=drr dbname=postgres"
            _wait(server, address, log=folder / "log")
            yield address
        finally:
            server.terminate()
            server.wait(_START_SECONDS)
    finally:
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> dict[str, int]:
    """Who runs the server: PostgreSQL refuses to be run by root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _wait(server: "subprocess.Popen[bytes]", address: str, *, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(address).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
