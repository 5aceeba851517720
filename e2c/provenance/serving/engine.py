"""MonetDB inside this process: open a database folder, execute SQL, listen for MAPI connections.

Recipe and traps were measured with MonetDB 11.41.14: the password has to be set before the server listens, and
therefore listening is started by SQL (``mapi.listen``) and not by the options of ``monetdbe_open``.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from e2c.errors import ProvenanceError
from e2c.provenance.serving import accounts, forbidden, libmonetdb, parser, sessions
from e2c.provenance.serving.log import Log


class _Options(ctypes.Structure):
    """``monetdbe_options`` of monetdbe.h; remote and MAPI server stay NULL."""

    _fields_ = [
        ("memorylimit", ctypes.c_int),
        ("querytimeout", ctypes.c_int),
        ("sessiontimeout", ctypes.c_int),
        ("nr_threads", ctypes.c_int),
        ("remote", ctypes.c_void_p),
        ("mapi_server", ctypes.c_void_p),
        ("trace_file", ctypes.c_char_p),
    ]


class SQLError(ProvenanceError):
    """The server refused a statement."""


class Engine:
    """An open database. One per process: the libraries keep global state."""

    def __init__(self, libraries: Path, farm: Path, trace: Path) -> None:
        loaded = libmonetdb.load(libraries)
        self._monetdbe, self._bat = loaded["monetdbe"], loaded["bat"]
        self._kernel, self._sql = loaded["monetdb5"], loaded["monetdbsql"]
        self._monetdbe.monetdbe_error.restype = ctypes.c_char_p
        self._monetdbe.monetdbe_query.restype = ctypes.c_char_p  # points into the session: not ours to free
        self._monetdbe.monetdbe_close.argtypes = [ctypes.c_void_p]
        self._farm = farm
        self._handle = ctypes.c_void_p()
        options = _Options(0, 0, 0, 0, None, None, str(trace).encode())
        code = self._monetdbe.monetdbe_open(ctypes.byref(self._handle), str(farm).encode(), ctypes.byref(options))
        if code != 0:
            reason = self._monetdbe.monetdbe_error(self._handle)
            raise ProvenanceError(
                "the database does not open",
                where=str(farm),
                why=reason.decode(errors="replace") if reason else f"code {code}",
                hint="See whether another process uses it, and the log beside it",
            )

    def execute(self, sql: str) -> None:
        """Execute one statement as the administrator.

        Raises:
            SQLError: it was refused.
        """
        affected = ctypes.c_int64()
        message = self._monetdbe.monetdbe_query(self._handle, sql.encode(), None, ctypes.byref(affected))
        if message:
            text = message.decode(errors="replace").strip()
            raise SQLError("the database refused a statement", why=text.splitlines()[0] if text else None)

    def listen(self, address: str, port: int) -> None:
        """Accept MAPI connections.

        Raises:
            SQLError: the port is taken.
        """
        self._bat.GDKsetenv.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        self._bat.GDKsetenv(b"mapi_listenaddr", address.encode())
        self.execute("CREATE OR REPLACE FUNCTION sys.mapi_listen(p INT) RETURNS INT EXTERNAL NAME mapi.listen")
        self.execute(f"SELECT sys.mapi_listen({int(port)})")

    def harden(self) -> bool:
        """Close what lets a user end the server, or lock others out, by a statement. To be done before it listens.

        Returns:
            Whether all was possible; see :mod:`accounts`, :mod:`forbidden` and :mod:`parser`.
        """
        if not libmonetdb.is_expected(self._sql):
            return False
        return all(
            [
                accounts.keep(self._sql),
                forbidden.forbid(self._sql),
                parser.terminate(self._sql, self._bat),
                parser.unroll(self._sql),
            ]
        )

    def log(self) -> Log:
        """The log of the database."""
        return Log(self._sql, self._farm)

    def limit(self) -> None:
        """Limit the time of users' statements; to be called again and again. See :mod:`sessions`."""
        sessions.limit(self._kernel)

    def close(self) -> None:
        """Write everything down and end."""
        self._monetdbe.monetdbe_close(self._handle)
