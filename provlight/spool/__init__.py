"""Batches on the disk, so that they outlive the process that captured them.

A *spool* is a folder with one folder for each client. The process that captures holds a lock on the client's folder
for its life; a folder that nobody holds is an *orphan*, which any process with the same spool adopts and sends under
the orphan's own identity. ``docs/explanation/wire-format.md`` has the format of the files.
"""

from .drain import Drained, drain
from .folder import SpoolError
from .inspection import SpoolInfo, check, folders, purge

__all__ = ["Drained", "SpoolError", "SpoolInfo", "check", "drain", "folders", "purge"]
