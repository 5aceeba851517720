"""Fixtures of the provenance service: started on free ports, ended by id whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from provenance_parts import Asker, Database, PlainServer, Service
from worker_groups import pytest_collection_modifyitems as pytest_collection_modifyitems

from e2c.provenance.serving import libmonetdb
from e2c.provenance.storing.store import Store


@pytest.fixture(scope="session", autouse=True)
def _libraries() -> None:
    if "E2C_MONETDB_LIBS" not in os.environ:
        libmonetdb.fetch()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = Database(tmp_path_factory.mktemp("database") / "data")
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    opened = database.store()
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def ask(database: Database) -> Iterator[Asker]:
    from e2c.provenance.connections import connect

    connection = connect(database.folder)
    try:
        yield Asker(connection)
    finally:
        connection.close()


@pytest.fixture
def plain_server(tmp_path: Path) -> Iterator[PlainServer]:
    server = PlainServer(tmp_path / "plain")
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*arguments: str, port: int = 0) -> Service:
        started.append(Service(tmp_path, *arguments, port=port))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            service.end()
