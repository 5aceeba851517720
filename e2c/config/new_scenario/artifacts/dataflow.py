"""What the sensors capture: how much was sent at once, and how long it took."""

from provlight.dataflow import Attribute, AttributeType, Dataflow, Set, SetType, Transformation

transfer = Transformation("transfer")
transfer.set_sets(
    [
        Set(
            "transfer_input",
            SetType.INPUT,
            [Attribute("sensor", AttributeType.TEXT), Attribute("kilobytes", AttributeType.NUMERIC)],
        ),
        Set("transfer_output", SetType.OUTPUT, [Attribute("seconds", AttributeType.NUMERIC)]),
    ]
)
dataflow = Dataflow("edge_to_cloud")
dataflow.add_transformation(transfer)
dataflow.save()
