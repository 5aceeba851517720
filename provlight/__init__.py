"""ProvLight: provenance capture for applications on small devices and thin links.

Usage::

    from provlight import Data, Task, Workflow

    workflow = Workflow("model_training")
    workflow.begin()
    task = Task(1, workflow, "training")
    task.begin([Data("training_input", workflow.id, [], {"kernel_size": 3, "num_kernels": 16})])
    ...
    task.end([Data("training_output", workflow.id, [], {"accuracy": 0.97})])
    workflow.end()

Calls cost microseconds, never wait for the network, and never raise because of it. Two threads do the rest; they begin
with the first record, and the end of the program waits for them up to ``PROVLIGHT_FLUSH_TIMEOUT`` seconds.
"""

from .capture import configure, flush, stats
from .context import current_task
from .data import Data
from .files import File
from .functions import captured
from .task import Task
from .workflow import Workflow

__all__ = ["Data", "File", "Task", "Workflow", "captured", "configure", "current_task", "flush", "stats"]
