"""The provenance service: broker, translator and dataflow database, usable without the rest of the lab.

It imports the standard library, ``e2c.errors``, ``provlight``, paho, pymonetdb and msgpack, so that a host can run it
from a folder of copied packages: ``python -m e2c.provenance serve --data DIR``.
"""
