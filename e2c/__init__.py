"""e2c: edge-to-cloud experiments, rehearsed locally, run on testbeds, with provenance that answers SQL."""

__version__ = "0.1.0"
