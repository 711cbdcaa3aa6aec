"""Train the mask network on an accelerator, by the clock, on scenes that are still being made.

``KERAS_BACKEND=jax python -m training.accelerated SCENES OUTPUT --seconds 450``, while
``python -m training.simulate SCENES`` goes on. Network, loss, optimiser and the course of the
rate are those of `training.train`. What differs is the feeding: scenes lie in the memory of the
device, and crops are drawn, turned and flipped there, inside the compiled step. The rate follows
the seconds that are spent, so that it has come down when they are over.

OUTPUT gets ``last.weights.h5`` and ``network.json`` every minute and at the end, and ``log.csv``;
`training.average` makes a network of them. Needs JAX beside the [training] extra.
"""

import argparse
import csv
import json
import math
import os
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np

WARM_UP = 0.05


def rate_at(progress, highest):
    """
    Learning rate after a share of the time: it rises, then falls as a cosine.

    Parameters
    ----------
    progress : float
        Share of the time that has passed, from 0 to 1.
    highest : float

    Returns
    -------
    float
    """
    if progress < WARM_UP:
        return highest * (0.01 + 0.99 * progress / WARM_UP)
    cosine = 0.5 * (1 + math.cos(math.pi * min((progress - WARM_UP) / (1 - WARM_UP), 1)))
    return highest * (0.999 * cosine + 1e-3)


def _load(path):
    """Pixels, labels, counts and priors of a scene file, as `training.masking` keeps them."""
    from training import masking  # in a process of its own, which leaves the device alone

    seen = SimpleNamespace(counts=np.zeros((2, len(masking.NAMES))), scenes={}, priors=None)
    with np.load(path) as scene:
        return *masking.Dataset.keep(seen, scene), seen.counts, seen.priors


class Feed:
    """
    Scenes of a folder in the memory of the device, read by processes as they appear.

    Parameters
    ----------
    options : argparse.Namespace
        ``scenes``, ``size``, ``chunk``, ``most``, ``held`` and ``loaders`` of the command.

    Attributes
    ----------
    chunks : list of list
        Pixels and labels of `chunk` scenes each, on the device; the oldest go first.
    held : list of tuple
        Scenes that are kept back to judge by.
    loaded : int
        Scenes read so far.
    priors : ndarray or None
        As of `training.masking.Dataset`.
    error : Exception or None
        What ended the reading.
    """

    def __init__(self, options):
        self.folder, self.side = options.scenes, options.size
        self.chunk, self.most, self.hold = options.chunk, options.most, options.held
        self.chunks, self.held, self.counts, self.loaded = [], [], 0, 0
        self.priors, self.error, self.stopped = None, None, False
        # The readers inherit this: the device is the parent's alone.
        given = os.environ.get("JAX_PLATFORMS")
        os.environ["JAX_PLATFORMS"] = "cpu"
        self._pool = ProcessPoolExecutor(options.loaders, get_context("spawn"))
        list(self._pool.map(time.sleep, [0.5] * options.loaders))  # start all of them now
        os.environ.pop("JAX_PLATFORMS")
        if given is not None:
            os.environ["JAX_PLATFORMS"] = given

    @property
    def shares(self):
        """Share of the pixels that are in each class, among those where it is sure."""
        return self.counts[0] / np.maximum(self.counts[1], 1)

    def run(self, put):
        """
        Read until stopped, in a thread of its own.

        Parameters
        ----------
        put : callable
            Moves an array to the device.
        """
        try:
            self._read(put)
        except Exception as error:
            self.error = error
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, put):
        known, pending, looked, filling = set(), set(), 0, []
        while not self.stopped:
            if time.monotonic() > looked + 2:
                new = {str(path) for path in self.folder.rglob("*.npz")} - known
                known |= new
                pending |= {self._pool.submit(_load, path) for path in sorted(new)}
                looked = time.monotonic()
            time.sleep(0.1)
            done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                *scene, counts, self.priors = future.result()
                self.counts = self.counts + counts
                self.loaded += 1
                if len(self.held) < self.hold and self.loaded % 16 == 0:
                    self.held.append(scene)
                else:
                    filling.append(scene)
                if len(filling) == self.chunk:
                    self.chunks.append([put(np.stack(part)) for part in zip(*filling, strict=True)])
                    del self.chunks[: -self.most // self.chunk]
                    filling = []


def make_steps(network, optimizer, batch):
    """
    Functions for `jax.jit`.

    Parameters
    ----------
    network : keras.Model
    optimizer : keras.optimizers.Optimizer
        Built.
    batch : int
        Crops in a step.

    Returns
    -------
    step : callable
        From trainable variables, those of the optimiser, pixels, labels, a seed, the rate and the
        scales of the loss to the variables after a step, and the loss.
    cost : callable
        From trainable variables, crops, their labels and the scales to the loss.
    """
    import jax
    from jax import numpy as jnp

    from training import masking

    crop = masking.CROP
    rate_slot = [v.name for v in optimizer.variables].index("learning_rate")
    fixed = [v.value for v in network.non_trainable_variables]

    def draw(key, pixels, labels):
        keys = jax.random.split(key, 4)
        n, height, width = pixels.shape[:3]
        scene = jax.random.randint(keys[0], (batch,), 0, n)
        y = jax.random.randint(keys[1], (batch,), 0, height - crop + 1)
        x = jax.random.randint(keys[2], (batch,), 0, width - crop + 1)
        turned = jax.random.bernoulli(keys[3], shape=(3, batch, 1, 1, 1))

        def cut(part):
            def one(i, y, x):
                return jax.lax.dynamic_slice(part, (i, y, x, 0), (1, crop, crop, part.shape[3]))[0]

            cuts = jax.vmap(one)(scene, y, x)
            cuts = jnp.where(turned[0], cuts.swapaxes(1, 2), cuts)
            cuts = jnp.where(turned[1], cuts[:, ::-1], cuts)
            return jnp.where(turned[2], cuts[:, :, ::-1], cuts)

        return cut(pixels), cut(labels)

    def cost(trainable, pixels, labels, scales):
        pixels = pixels.astype(jnp.float32)
        logits, _ = network.stateless_call(trainable, fixed, pixels, training=True)
        loss = masking.loss(scales)
        return jnp.mean(loss(masking.in_blocks(labels.astype(jnp.int32)), logits))

    def step(trainable, slots, pixels, labels, seed, rate, scales):
        crops = draw(jax.random.key(seed), pixels, labels)
        loss, slopes = jax.value_and_grad(cost)(trainable, *crops, scales)
        slots = [rate if i == rate_slot else s for i, s in enumerate(slots)]
        trainable, slots = optimizer.stateless_apply(slots, slopes, trainable)
        return trainable, slots, loss

    return step, cost


class Run:
    """
    A network under training: compiled for the device, fed by the clock, saved as it goes.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command.
    feed : Feed
    """

    def __init__(self, options, feed):
        self.options, self.feed = options, feed
        self.began = time.monotonic()
        self.end = self.began + options.seconds

    def say(self, text):
        """Print a line with the time that has passed."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    def prepare(self, shares):
        """Make the network anew, with what the optimiser needs, for these shares of the classes."""
        import keras

        from training import masking

        seen = SimpleNamespace(shares=shares, priors=self.feed.priors)
        self.network, _ = masking.build(seen)
        if self.options.start:
            self.network.load_weights(self.options.start)
        self.optimizer = keras.optimizers.AdamW(
            self.options.rate, weight_decay=1e-4, global_clipnorm=1.0
        )
        self.optimizer.build(self.network.trainable_variables)
        self.trainable = [v.value for v in self.network.trainable_variables]
        self.slots = [v.value for v in self.optimizer.variables]
        self.scales = masking.ignorant_loss(shares).astype(np.float32)

    def compile(self):
        """Compile the step for the largest batch that fits, and try it on noise."""
        import jax

        from training import masking

        options, n = self.options, len(masking.NAMES)
        rng = np.random.default_rng(options.seed)
        shape = options.chunk, options.size, options.size
        parts, kind = (1 + n, np.uint8) if options.taught else (masking.PARTS, np.uint16)
        noise = (
            jax.device_put(rng.normal(0, 3, (*shape, 2)).astype(np.float16)),
            jax.device_put(rng.integers(0, 2, (*shape, parts)).astype(kind)),
        )
        while True:
            self.prepare(np.full(n, 0.01))
            step, cost = make_steps(self.network, self.optimizer, options.batch)
            try:
                compiled = jax.jit(step, donate_argnums=(0, 1))
                compiled = compiled.lower(
                    self.trainable, self.slots, *noise, 0, np.float32(0), self.scales
                )
                self.step = compiled.compile()
                self.say(f"compiled for batches of {options.batch} crops")
                for seed in range(5):
                    start = time.monotonic()
                    self._update(noise, seed, 0).block_until_ready()
                break
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error) or options.batch < 4:
                    raise
                options.batch //= 2
                self.say(f"too much memory: now batches of {options.batch}")
        seconds = time.monotonic() - start
        self.pixels = options.batch * masking.CROP**2
        self.say(f"a step takes {seconds * 1e3:.0f} ms: {self.pixels / seconds / 1e6:.1f} MPix/s")
        self.few = min(16, options.held)
        crops = (self.few, masking.CROP, masking.CROP)
        kept = [jax.ShapeDtypeStruct((*crops, p.shape[-1]), p.dtype) for p in noise]
        # The fastest convolutions need not be searched for: this runs rarely.
        on_gpu = jax.default_backend() == "gpu"
        quick = {"xla_gpu_autotune_level": "0"} if on_gpu else None
        self.score = jax.jit(cost).lower(self.trainable, *kept, self.scales).compile(quick)

    def _update(self, chunk, seed, rate):
        self.trainable, self.slots, loss = self.step(
            self.trainable, self.slots, *chunk, np.int32(seed), np.float32(rate), self.scales
        )
        return loss

    def wait(self):
        """Wait for as many scenes as tell the shares of the classes."""
        feed = self.feed
        while feed.loaded < self.options.first or not feed.chunks:
            time.sleep(0.05)
            if feed.error or time.monotonic() > self.end:
                raise SystemExit(f"{feed.loaded} scenes are too few to begin ({feed.error!r})")
            if feed.chunks and time.monotonic() - self.began > self.options.seconds / 2:
                break
        self.prepare(feed.shares)
        self.say(f"training begins with {feed.loaded} scenes")

    def held_back(self):
        """Loss on the middle of the scenes that are kept back; NaN until there are enough."""
        import jax

        from training import masking

        if len(self.feed.held) < self.options.held:
            return float("nan")
        edge = (self.options.size - masking.CROP) // 2
        middle = slice(edge, edge + masking.CROP)
        losses = []
        for first in range(0, self.options.held - self.few + 1, self.few):
            parts = zip(*self.feed.held[first : first + self.few], strict=True)
            crops = [jax.device_put(np.stack(part)[:, middle, middle]) for part in parts]
            losses.append(float(self.score(self.trainable, *crops, self.scales)))
        return np.mean(losses)

    def save(self):
        """Write the weights, whole or not at all, and the network's description."""
        from training import masking

        for variable, value in zip(self.network.trainable_variables, self.trainable, strict=True):
            variable.assign(value)
        part = self.options.output / "part.weights.h5"
        self.network.save_weights(part)
        os.replace(part, self.options.output / "last.weights.h5")
        text = json.dumps(masking.describe(self.feed), indent=1) + "\n"
        (self.options.output / "network.json").write_text(text, encoding="utf-8")

    def train(self):
        """Go on until the time is up."""
        import jax

        options, rng = self.options, np.random.default_rng(self.options.seed)
        start = told = saved = time.monotonic()
        steps, losses = 0, []
        with open(options.output / "log.csv", "w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["seconds", "steps", "scenes", "mpix_per_s", "rate", "loss", "val_loss"])
            while (now := time.monotonic()) < self.end:
                chunk = self.feed.chunks[rng.integers(len(self.feed.chunks))]
                rate = rate_at((now - start) / (self.end - start), options.rate)
                losses.append(self._update(chunk, rng.integers(2**31), rate))
                steps += 1
                if len(losses) > 2:  # the queue of the device stays short
                    losses[-3].block_until_ready()
                if now - told < min(15, options.seconds / 10):
                    continue
                loss, held_back = float(np.mean(jax.device_get(losses))), self.held_back()
                speed = len(losses) * self.pixels / (now - told) / 1e6
                if not math.isfinite(loss):
                    raise SystemExit(f"the loss is {loss} after {steps} steps: not saved any more")
                if self.feed.error:
                    self.say(f"no more scenes: {self.feed.error!r}")
                row = [round(now - self.began), steps, self.feed.loaded, f"{speed:.1f}"]
                log.writerow([*row, f"{rate:.3g}", f"{loss:.5f}", f"{held_back:.5f}"])
                file.flush()
                self.say(
                    f"{steps} steps, {self.feed.loaded} scenes, {speed:.1f} MPix/s, "
                    f"loss {loss:.4f}, held back {held_back:.4f}"
                )
                losses, told = [], time.monotonic()
                if told - saved > 50:
                    self.save()
                    saved = told
            self.save()
        self.say(f"{steps} steps of {options.batch} crops, {steps * self.pixels / 1e9:.2f} GPix")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m training.accelerated", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("scenes", type=Path, help="folder that training.simulate is filling")
    parser.add_argument("output", type=Path, help="made if need be")
    parser.add_argument("--seconds", type=float, default=450, help="for all, compiling included")
    parser.add_argument("--start", type=Path, help="weights to start from (FILE.weights.h5)")
    parser.add_argument(
        "--taught", action="store_true", help="scenes hold what a network said (training.teach)"
    )
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--batch", type=int, default=64, help="crops; halved until they fit")
    parser.add_argument("--precision", default="mixed_bfloat16", help="or float32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=512, help="side of the scenes in pixels")
    parser.add_argument("--chunk", type=int, default=128, help="scenes that go there at once")
    parser.add_argument("--most", type=int, default=14000, help="scenes on the device; oldest go")
    parser.add_argument("--held", type=int, default=64, help="scenes kept back for val_loss")
    parser.add_argument("--first", type=int, default=512, help="scenes with which it begins")
    parser.add_argument("--loaders", type=int, default=2, help="processes that read scenes")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    feed = Feed(options)
    try:
        import jax
        import keras

        keras.utils.set_random_seed(options.seed)
        keras.mixed_precision.set_global_policy(options.precision)
        run = Run(options, feed)
        run.say(f"keras {keras.__version__} on jax {jax.__version__}: {jax.devices()}")
        threading.Thread(target=feed.run, args=[jax.device_put]).start()
        run.compile()
        run.wait()
        run.train()
    finally:
        feed.stopped = True


if __name__ == "__main__":
    main()
