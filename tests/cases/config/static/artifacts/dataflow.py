from dfa_lib_python.attribute import Attribute
from dfa_lib_python.attribute_type import AttributeType
from dfa_lib_python.dataflow import Dataflow
from dfa_lib_python.set import Set
from dfa_lib_python.set_type import SetType
from dfa_lib_python.transformation import Transformation

flow = Dataflow("model_training")
training = Transformation("training")
inputs = Set(
    "training_input",
    SetType.INPUT,
    [Attribute(n, AttributeType.NUMERIC) for n in ("kernel_size", "num_kernels", "length_of_strides", "pooling_size")],
)
outputs = Set(
    "training_output", SetType.OUTPUT, [Attribute(n, AttributeType.NUMERIC) for n in ("accuracy", "training_time")]
)
training.set_sets([inputs, outputs])
flow.add_transformation(training)
flow.save()
