"""Train a network on scenes; started again, it goes on where it stopped.

``python -m training.train SCENES OUTPUT``: OUTPUT gets ``log.csv`` (loss by epoch), ``state/``
(the last checkpoint), ``final.weights.h5`` and ``network.json``. Where Keras runs on TensorFlow it
also gets ``network/``, which the commands load with ``--net_path``; elsewhere ``python -m
training.export OUTPUT --weights OUTPUT/final.weights.h5`` makes that later.
"""

import argparse
from pathlib import Path

import keras

from training.export import write, write_description
from training.tasks import TASKS


class Export(keras.callbacks.Callback):
    """Write the network as the commands load it, every few epochs and at the end."""

    def __init__(self, folder, task, dataset, every):
        super().__init__()
        self.folder, self.task, self.dataset, self.every = folder, task, dataset, every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.on_train_end()

    def on_train_end(self, logs=None):
        write(self.folder, self.task.bare(self.model), self.task.describe(self.dataset))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("scenes", type=Path, help="folder from training.simulate")
    parser.add_argument("output", type=Path, help="made if need be")
    parser.add_argument("--task", choices=TASKS, default="mask", help="default: mask")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=200, help="batches per epoch (default: 200)")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="weights to start from (FILE.weights.h5)")
    parser.add_argument("--precision", default="float32", help="or mixed_bfloat16, mixed_float16")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(options.seed)
    keras.mixed_precision.set_global_policy(options.precision)
    task = TASKS[options.task]
    try:
        dataset = task.Dataset(options.scenes, options.steps, options.seed)
    except ValueError as error:
        parser.error(str(error))
    model, loss = task.build(dataset)
    if options.start:
        model.load_weights(options.start)
    total = options.epochs * options.steps
    rate = keras.optimizers.schedules.CosineDecay(
        options.rate / 100,
        total - total // 20,
        warmup_target=options.rate,
        warmup_steps=total // 20,
        alpha=1e-3,
    )
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-4, global_clipnorm=1.0), loss)
    options.output.mkdir(parents=True, exist_ok=True)
    write_description(options.output, task.describe(dataset))
    callbacks = [
        keras.callbacks.CSVLogger(options.output / "log.csv", append=True),
        keras.callbacks.BackupAndRestore(options.output / "state", delete_checkpoint=False),
    ]
    if keras.backend.backend() == "tensorflow":
        callbacks.append(Export(options.output / "network", task, dataset, every=5))
    model.fit(dataset, epochs=options.epochs, shuffle=False, callbacks=callbacks)
    # A twin that was never compiled, as the state of the optimiser would triple the file.
    twin = task.architecture()
    twin.set_weights(model.get_weights())
    twin.save_weights(options.output / "final.weights.h5")


if __name__ == "__main__":
    main()
