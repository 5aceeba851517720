"""A client that trains nine models and captures, for each, the hyperparameters and what they gave.

    python user-application.py                   # toy: sleeps and draws the accuracy by chance
    python user-application.py --model digits    # trains for real; needs scikit-learn (Debian: python3-sklearn)

Every client takes other hyperparameters, chosen by its topic, so that two clients search twice the space.
"""

import argparse
import itertools
import os
import random
import time

from provlight.data import Data
from provlight.task import Task
from provlight.workflow import Workflow

DATAFLOW = "model_training"
TRANSFORMATION = "training"
RUNS = 9


def hyperparameters(client):
    """Nine combinations (kernel_size, num_kernels, length_of_strides, pooling_size), other ones for each client."""
    grid = list(itertools.product((2, 3, 4), (2, 8, 32), (1, 2), (1, 2)))
    return random.Random(client).sample(grid, RUNS)


def train_toy(*_hyperparameters):
    """The shape of the published tutorial: some time passes, some accuracy comes out."""
    time.sleep(random.uniform(0.05, 0.25))
    return random.uniform(0.7, 1.0)


def train_digits(kernel_size, num_kernels, length_of_strides, pooling_size):
    """A small convolutional model on the 8 x 8 handwritten digits that come with scikit-learn.

    Random kernels, rectification, max pooling, then a logistic regression on these features
    (random convolutional features as in Jarrett et al., ICCV 2009).
    """
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) / 16
    kernels = np.random.default_rng(0).normal(size=(num_kernels, kernel_size, kernel_size))

    def response(y, x):
        """What all kernels give at one place of all images."""
        patches = images[:, y : y + kernel_size, x : x + kernel_size]
        return np.tensordot(patches, kernels, ((1, 2), (1, 2)))

    places = range(0, 8 - kernel_size + 1, length_of_strides)
    maps = np.stack([np.stack([response(y, x) for x in places], 1) for y in places], 1).clip(min=0)
    side = len(places) // pooling_size
    pooled = maps[:, : side * pooling_size, : side * pooling_size]
    pooled = pooled.reshape(len(images), side, pooling_size, side, pooling_size, num_kernels).max((2, 4))
    split = train_test_split(pooled.reshape(len(images), -1), labels, test_size=0.3, random_state=0, stratify=labels)
    seen, unseen, seen_labels, unseen_labels = split
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(seen, seen_labels)
    return float(model.score(unseen, unseen_labels))


def main():
    parser = argparse.ArgumentParser(description="Train nine models and capture their provenance.")
    parser.add_argument("--model", choices=("toy", "digits"), default="toy")
    train = {"toy": train_toy, "digits": train_digits}[parser.parse_args().model]
    client = int(os.environ.get("PROVLIGHT_SERVER_TOPIC", "1"))

    workflow = Workflow(DATAFLOW)
    workflow.begin()
    for number, chosen in enumerate(hyperparameters(client), start=1):
        task = Task(int(f"{client}{number}"), workflow, TRANSFORMATION, dependencies=[])
        task.begin([Data("training_input", DATAFLOW, [], {"model_hyperparameters": list(chosen)})])
        began = time.perf_counter()
        accuracy = train(*chosen)
        seconds = time.perf_counter() - began
        task.end([Data("training_output", DATAFLOW, [], {"model_training": [accuracy, seconds]})])
        names = "kernel_size={} num_kernels={} length_of_strides={} pooling_size={}".format(*chosen)
        print(f"client {client} training {number}: {names} accuracy={accuracy!r} training_time={seconds!r}", flush=True)
    workflow.end()


if __name__ == "__main__":
    main()
