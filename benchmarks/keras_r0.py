"""R0's network and recipe in Keras 3, as its users write it: ``python keras_r0.py FOLDER SIZE BATCH EPOCHS``.

A script of its own, because Keras lives in an environment of its own. Prints one line of JSON: seconds of each epoch.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import keras

folder, size, batch, epochs = sys.argv[1], *map(int, sys.argv[2:5])


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start."""
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self.began)


def main() -> None:
    """Train and print."""
    data = keras.utils.image_dataset_from_directory(
        folder, label_mode="int", image_size=(size, size), batch_size=batch, shuffle=True, seed=0, verbose=False
    )
    changed = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.RandomShear(0.2, 0.2),
            keras.layers.RandomZoom(0.2),
            keras.layers.RandomFlip("horizontal"),
        ]
    )
    classes = len(data.class_names)
    stack = [
        layer
        for _ in range(3)
        for layer in (keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.MaxPooling2D())
    ]
    head = [keras.layers.Flatten(), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(classes)]
    model = keras.Sequential([keras.layers.Input((size, size, 3)), *stack, *head])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    watch = Watch()
    # Decoded pictures in memory, and augmentation beside the training: what Keras' own guides advise.
    data = data.cache().map(lambda x, y: (changed(x, training=True), y), num_parallel_calls=2).prefetch(2)
    model.fit(data, epochs=epochs, verbose=0, callbacks=[watch])
    print(json.dumps({"keras": keras.__version__, "backend": keras.backend.backend(), "seconds": watch.seconds}))


main()
