"""Tunes hyperparameters with Optuna: each trial is a run of the workflow, its accuracy is asked of the database.

python tune.py [--trials N] [--testbed local]
"""

import argparse
import logging
from pathlib import Path

import optuna

from e2c import Optimizer

HERE = Path(__file__).parent
OBJECTIVE = """
    SELECT max(o.accuracy) FROM training_output o JOIN task t ON t.id = o.training_task_id WHERE t.run = :run
"""
BEST = """
    SELECT t.run, i.kernel_size, i.num_kernels, i.length_of_strides, i.pooling_size, o.accuracy
    FROM task t
    JOIN training_input i ON i.training_task_id = t.id
    JOIN training_output o ON o.training_task_id = t.id
    ORDER BY o.accuracy DESC LIMIT 3
"""


def main():
    parser = argparse.ArgumentParser(description="Tune the hyperparameters of a model on an edge-to-cloud scenario.")
    parser.add_argument("--trials", type=int, default=8, help="how many combinations are tried (default: 8)")
    parser.add_argument("--testbed", help="testbed that plays all others: local is a rehearsal on this machine")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)  # INFO shows every step
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    # The hosts are acquired here, once, and freed when the block is left.
    with Optimizer(HERE, HERE / "artifacts", testbed=options.testbed) as optimizer:

        def objective(trial):
            folder = optimizer.launch(
                {
                    "kernel_size": trial.suggest_int("kernel_size", 2, 5),
                    "num_kernels": trial.suggest_categorical("num_kernels", [2, 8, 16, 32]),
                    "length_of_strides": trial.suggest_int("length_of_strides", 1, 3),
                    "pooling_size": trial.suggest_int("pooling_size", 1, 3),
                }
            )
            accuracy = optimizer.query(OBJECTIVE).value
            print(f"{folder.name}: {trial.params} -> {accuracy:.4f}", flush=True)
            return accuracy

        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1))
        study.optimize(objective, n_trials=options.trials)

        print(f"best: {study.best_params} -> {study.best_value:.4f}")
        print("the three best in the database:")
        for row in optimizer.query(BEST):
            print("  ", *row)


if __name__ == "__main__":
    main()
