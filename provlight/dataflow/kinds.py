"""The closed lists that declarations choose from."""

from __future__ import annotations

from enum import Enum


class AttributeType(Enum):
    """What an attribute holds."""

    TEXT = "TEXT"
    NUMERIC = "NUMERIC"
    FILE = "FILE"
    RDFILE = "RDFILE"
    LONG_TEXT = "LONG_TEXT"


class SetType(Enum):
    """Whether a transformation reads a set or writes it."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


class ExtractorCartridge(Enum):
    """What an extractor does with a raw data file."""

    EXTRACTION = "EXTRACTION"
    INDEXING = "INDEXING"


class ExtractorExtension(Enum):
    """What an extractor reads or builds."""

    PROGRAM = "PROGRAM"
    CSV = "CSV"
    FITS = "FITS"
    FASTBIT = "FASTBIT"
    OPTIMIZED_FASTBIT = "OPTIMIZED_FASTBIT"
    POSTGRES_RAW = "POSTGRES_RAW"


class MethodType(Enum):
    """What a measured time was spent on."""

    COMPUTATION = "COMPUTATION"
    INSTRUMENTATION = "INSTRUMENTATION"
    EXTRACTION = "EXTRACTION"
    PROVENANCE = "PROVENANCE"
    INDEXING = "INDEXING"


class TaskStatus(Enum):
    """How far a task is."""

    READY = "READY"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
