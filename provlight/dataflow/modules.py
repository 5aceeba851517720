"""The modules of DfAnalyzer's library ``dfa_lib_python``, made of this package."""

from __future__ import annotations

import sys
import types
from typing import Any, Dict

from . import attributes, declarations, kinds, recorded

PACKAGE = "dfa_lib_python"

MODULES: Dict[str, Dict[str, Any]] = {
    "ProvenanceObject": {"ProvenanceObject": recorded.ProvenanceObject},
    "attribute": {"Attribute": attributes.Attribute},
    "attribute_type": {"AttributeType": kinds.AttributeType},
    "dataflow": {"Dataflow": declarations.Dataflow},
    "dataset": {"DataSet": recorded.DataSet},
    "dependency": {"Dependency": recorded.Dependency},
    "element": {"Element": recorded.Element},
    "extractor": {"Extractor": attributes.Extractor},
    "extractor_cartridge": {"ExtractorCartridge": kinds.ExtractorCartridge},
    "extractor_extension": {"ExtractorExtension": kinds.ExtractorExtension},
    "file": {"File": recorded.File},
    "method_type": {"MethodType": kinds.MethodType},
    "performance": {"Performance": recorded.Performance},
    "program": {"Program": attributes.Program},
    "raw_data_extractor": {"RawDataExtractor": recorded.RawDataExtractor},
    "raw_data_indexer": {"RawDataIndexer": recorded.RawDataIndexer},
    "set": {"Set": declarations.Set},
    "set_type": {"SetType": kinds.SetType},
    "task": {"Task": recorded.Task, "start_task": recorded.start_task, "end_task": recorded.end_task},
    "task_status": {"TaskStatus": kinds.TaskStatus},
    "transformation": {"Transformation": declarations.Transformation},
}
"""Content of each module."""


def install() -> None:
    """Let ``import dfa_lib_python`` and its modules find this package, whether that library is there or not."""
    package = types.ModuleType(PACKAGE, "Stands in for DfAnalyzer's library.")
    package.__path__ = []
    sys.modules[PACKAGE] = package
    for name, content in MODULES.items():
        module = types.ModuleType("{}.{}".format(PACKAGE, name))
        module.__dict__.update(content)
        sys.modules[module.__name__] = module
        setattr(package, name, module)
        for title, value in content.items():
            setattr(package, title, value)
