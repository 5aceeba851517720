"""Trains one model and captures the hyperparameters and what they gave.

    python3 train.py KERNEL_SIZE NUM_KERNELS LENGTH_OF_STRIDES POOLING_SIZE

A toy, so that a trial takes no longer than the experiment around it: accuracy is best for kernels of size 3, many of
them, with small strides. Put a real training into `train`.
"""

import argparse
import math
import time

from provlight import Data, Task, Workflow

HYPERPARAMETERS = ("kernel_size", "num_kernels", "length_of_strides", "pooling_size")


def train(kernel_size, num_kernels, length_of_strides, pooling_size):
    time.sleep(0.1)
    missed = 0.03 * (kernel_size - 3) ** 2 + 0.04 * (length_of_strides - 1) + 0.02 * (pooling_size - 2) ** 2
    return max(0.1, 0.98 - missed - 0.3 * math.exp(-num_kernels / 8))


def main():
    parser = argparse.ArgumentParser(description="Train one model and capture its provenance.")
    for name in HYPERPARAMETERS:
        parser.add_argument(name, type=int)
    chosen = vars(parser.parse_args())
    with Workflow("model_training") as workflow, Task(1, workflow, "training") as task:
        task.used("training_input", chosen)
        began = time.perf_counter()
        accuracy = train(**chosen)
        results = {"accuracy": accuracy, "training_time": time.perf_counter() - began}
        task.generated(Data("training_output", workflow.id, [], results))


if __name__ == "__main__":
    main()
