"""What the application captures: the dataflow of the provenance tutorial."""

from provlight.dataflow import Attribute, AttributeType, Dataflow, Set, SetType, Transformation

HYPERPARAMETERS = ("kernel_size", "num_kernels", "length_of_strides", "pooling_size")
RESULTS = ("accuracy", "training_time")


def numeric(names):
    return [Attribute(name, AttributeType.NUMERIC) for name in names]


training = Transformation("training")
training.set_sets(
    [
        Set("training_input", SetType.INPUT, numeric(HYPERPARAMETERS)),
        Set("training_output", SetType.OUTPUT, numeric(RESULTS)),
    ]
)
dataflow = Dataflow("model_training")
dataflow.add_transformation(training)
dataflow.save()
