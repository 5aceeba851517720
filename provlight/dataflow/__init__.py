"""Declaring a dataflow: its transformations, their sets and attributes.

Example::

    from provlight.dataflow import Attribute, AttributeType, Dataflow, DataSet, SetType, Transformation

    flow = Dataflow("model_training")
    training = Transformation("training")
    training.set_sets([
        DataSet("training_input", SetType.INPUT, [Attribute("kernel_size", AttributeType.NUMERIC)]),
        DataSet("training_output", SetType.OUTPUT, [Attribute("accuracy", AttributeType.NUMERIC)]),
    ])
    flow.add_transformation(training)
    flow.save()

``python -m provlight.dataflow.evaluate FILE`` turns such a file into JSON. Class names and behaviour follow the library
``dfa_lib_python`` of DfAnalyzer, whose module names a specification may use instead.
"""

from .attributes import Attribute, Extractor, Program
from .declarations import Dataflow, DataSet, Set, Transformation
from .kinds import AttributeType, ExtractorCartridge, ExtractorExtension, SetType

__all__ = [
    "Attribute",
    "AttributeType",
    "DataSet",
    "Dataflow",
    "Extractor",
    "ExtractorCartridge",
    "ExtractorExtension",
    "Program",
    "Set",
    "SetType",
    "Transformation",
]
