"""One train step for every optimizer, and a loop that knows budgets, clocks and disks.

`make_train_step` joins outputs, objective and an optax transformation. It hands each
transformation all that any of them reads, so Adam and a second-order method differ in
`tx` alone. `fit` runs it inside one compiled loop and reports from outside.
"""

import functools
import math
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from tqdm import tqdm

from jaxphys import checkpoint, losses, trees
from jaxphys import data as datasets
from jaxphys.optim import linearise, routes, step_info
from jaxphys.types import Array, PyTree

#: Between two looks at the clock a compiled loop runs for about this long.
CHUNK_SECONDS = 0.4
#: A train loss beyond this many times its first value counts as divergence.
DIVERGED = 1e6
#: What a loss that is not finite is in a history, which JSON must hold.
NOT_FINITE = 1e300


class TrainState(NamedTuple):
    """All that training carries from one step to the next."""

    params: PyTree
    opt_state: PyTree
    step: Array


class Info(NamedTuple):
    """What one step saw; None where the optimizer has no such thing.

    Attributes:
      loss: the batch-mean objective before the step.
      finite: whether the loss and the parameters after the step are finite.
      rank: singular values kept (spectral methods).
      damping: λ after the step (Levenberg–Marquardt).
      accepted: whether the step was taken (damped methods).
      concave: share of the outputs in which the objective's curvature is not positive,
        and was taken as that of ½|y|² (damped methods). Where it is not zero, state
        the objective as a sum of squares.
    """

    loss: Array
    finite: Array
    rank: Array | None = None
    damping: Array | None = None
    accepted: Array | None = None
    concave: Array | None = None


class Skips(NamedTuple):
    """Updates that were left out, as they were not finite.

    Attributes:
      row: how many in a row, up to now.
      total: how many in all.
    """

    row: Array
    total: Array


class Fit(NamedTuple):
    """What `fit` leaves.

    Attributes:
      state: the last good state.
      history: one dict a look: step, epoch, seconds, and the evaluation's losses.
      seconds: training time, without compilation and evaluation.
      compile_seconds: time to compile the training loop.
      status: "finished", "diverged" or "interrupted".
      message: what happened, in words.
    """

    state: TrainState
    history: list[dict[str, float]]
    seconds: float
    compile_seconds: float
    status: str
    message: str


def init_state(params: PyTree, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(params, tx.init(params), jnp.zeros((), jnp.int32))


def make_train_step(
    outputs: Callable[[PyTree, PyTree], Array],
    objective: Callable[[Array, PyTree], Array],
    tx: optax.GradientTransformation,
    *,
    memory_limit: int | None = None,
) -> Callable[[TrainState, tuple[PyTree, PyTree]], tuple[TrainState, Info]]:
    """A train step on the batch mean of an objective, the same for every optimizer.

    Args:
      outputs: `outputs(params, inputs) -> (d,)` for one sample.
      objective: `objective(outputs, targets) -> scalar` for one sample.
      tx: any optax transformation. It is handed, beside gradients and parameters, the
        extras linearisation, cotangent, curvature_fn, value, value_fn and memory_limit.
      memory_limit: bytes that a second-order step may take for matrices, or a Krylov
        basis in place of one; half of them for a block of the Jacobian.

    Returns:
      `step(state, (inputs, targets)) -> (state, Info)` for a batch; pure, to be jitted.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> outputs = lambda params, x: params * x
      >>> tx = optax.sgd(0.25)
      >>> step = make_train_step(outputs, losses.squared_error, tx)
      >>> batch = (jnp.ones((8, 1)), jnp.full((8, 1), 3.0))
      >>> state, info = step(init_state(jnp.ones(1), tx), batch)
      >>> print(info.loss, state.params)
      4.0 [2.]
    """
    tx = optax.with_extra_args_support(tx)
    block = routes.block_bytes(memory_limit)

    def mean_objective(values: Array, targets: PyTree) -> Array:
        per_sample = jax.vmap(objective)(values, targets)
        if per_sample.ndim != 1:
            raise ValueError(
                f"the objective gave shape {per_sample.shape[1:]} for one sample; "
                "expected a scalar. Sum over components."
            )
        return jnp.mean(per_sample)

    def step(state: TrainState, batch: tuple[PyTree, PyTree]):
        inputs, targets = batch
        params = state.params
        batched = linearise(outputs, params, inputs, block_bytes=block)
        loss, cotangent = jax.value_and_grad(mean_objective)(batched.values, targets)

        def curvature_fn() -> Array:
            one = functools.partial(losses.second_derivatives, objective)
            return jax.vmap(one)(batched.values, targets) / batched.values.shape[0]

        def value_fn(params: PyTree) -> Array:
            values = jax.vmap(outputs, in_axes=(None, 0))(params, inputs)
            return mean_objective(values, targets)

        updates, opt_state = tx.update(
            batched.vjp(cotangent),
            state.opt_state,
            params,
            linearisation=batched,
            cotangent=cotangent,
            curvature_fn=curvature_fn,
            value=loss,
            value_fn=value_fn,
            memory_limit=memory_limit,
        )
        params = optax.apply_updates(params, updates)
        info = Info(
            loss,
            jnp.isfinite(loss) & trees.all_finite(params),
            *step_info(opt_state),
        )
        return TrainState(params, opt_state, state.step + 1), info

    return step


def init_side_by_side(params: PyTree, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step of `side_by_side`, of stacked parameters."""
    return TrainState(params, jax.vmap(tx.init)(params), jnp.zeros((), jnp.int32))


def side_by_side(step: Callable) -> Callable:
    """A step of many trainings at once, on the same batches.

    From how many starts a small network should be trained, to end in a good one of its
    local minima, is for a user to say; a method that gets down to one in a thousand
    steps has the time for many. A training whose step is not finite stays where it is.

    Args:
      step: from `make_train_step`.

    Returns:
      `step(state, batch) -> (state, info)`: the state's parameters and optimizer memory
      have a leading axis, as `init_side_by_side` makes them; `info` is that of the
      lowest loss. `best_of` takes the best out again.

    Example:
      >>> outputs = lambda w, x: w * x
      >>> tx = optax.sgd(0.1)
      >>> step = side_by_side(make_train_step(outputs, losses.squared_error, tx))
      >>> state = init_side_by_side(jnp.array([[1.0], [3.0]]), tx)
      >>> state, info = step(state, (jnp.ones((4, 1)), 2 * jnp.ones((4, 1))))
      >>> print(info.loss, state.params.shape)
      1.0 (2, 1)
    """
    whole: Any = None  # one count of steps for all
    axes = TrainState(0, 0, whole)

    def one(state: TrainState, batch: PyTree) -> tuple[TrainState, Info]:
        new, info = step(state, batch)
        params, opt_state = jax.tree.map(
            lambda a, b: jnp.where(info.finite, a, b), new[:2], state[:2]
        )
        return TrainState(params, opt_state, new.step), info

    def all_of_them(state: TrainState, batch: PyTree) -> tuple[TrainState, Info]:
        new, infos = jax.vmap(one, (axes, None), (axes, 0))(state, batch)
        lowest = jnp.argmin(jnp.where(infos.finite, infos.loss, jnp.inf))
        return new, jax.tree.map(lambda x: x[lowest], infos)

    return all_of_them


def best_of(params: PyTree, values: Array) -> PyTree:
    """Of stacked parameters those of the lowest value that is finite.

    Example:
      >>> print(best_of(jnp.array([5.0, 6.0, 7.0]), jnp.array([1.0, jnp.nan, 0.5])))
      7.0
    """
    lowest = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
    return jax.tree.map(lambda x: x[lowest], params)


def make_evaluate(
    outputs: Callable, objective: Callable, sets: dict[str, tuple[PyTree, PyTree]]
) -> Callable[[PyTree], dict[str, Array]]:
    """`evaluate(params) -> {name: mean objective}` over whole data sets, compiled once.

    Example:
      >>> import jax.numpy as jnp
      >>> sets = {"test_loss": (jnp.ones((4, 1)), jnp.zeros((4, 1)))}
      >>> evaluate = make_evaluate(lambda w, x: w * x, losses.squared_error, sets)
      >>> print(evaluate(jnp.array([2.0]))["test_loss"])
      4.0
    """

    run = _compiled_means(outputs, objective)
    return lambda params: run(params, sets)


@functools.lru_cache(maxsize=64)
def _compiled_means(outputs: Callable, objective: Callable) -> Callable:
    """`run(params, sets)`, with one compilation for all sets of the same shapes."""

    @jax.jit
    def run(params: PyTree, sets: dict) -> dict[str, Array]:
        def mean(inputs, targets):
            values = jax.vmap(outputs, in_axes=(None, 0))(params, inputs)
            return jnp.mean(jax.vmap(objective)(values, targets))

        return {name: mean(*pair) for name, pair in sets.items()}

    return run


def no_skips() -> Skips:
    """None so far."""
    return Skips(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def left_out(old: TrainState, new: TrainState) -> TrainState:
    """The state after an update that is left out.

    Weights stay, and counts of updates; of the rest of the optimizer's memory what is
    still finite is new, so that a damped method goes on with more damping.
    """

    def finite(a: Array, b: Array) -> Array:
        if jnp.issubdtype(b.dtype, jnp.integer):
            return a
        return jnp.where(jnp.all(jnp.isfinite(b)), b, a)

    memory = jax.tree.map(finite, old.opt_state, new.opt_state)
    return TrainState(old.params, memory, new.step)


@functools.lru_cache(maxsize=64)
def compiled_loop(
    step: Callable, total: int, batch_size: int, skips: int = 0
) -> Callable:
    """The loop that `fit` runs.

    `loop(state, data, key, n, Skips) -> (state, done, info, Skips)` takes n steps, or
    fewer where too many in a row are not finite. The number of steps is an argument, so
    one compilation serves every length; called with n = 0 it compiles and does nothing.

    Args:
      step: from `make_train_step`.
      total: samples in the data, a multiple of batch_size.
      batch_size: samples a step.
      skips: how many updates in a row may be left out as they are not finite. The one
        that is too many is not: it stands in the state that is returned.
    """
    batches = total // batch_size

    @jax.jit
    def loop(
        state: TrainState,
        data: PyTree,
        key: Array | None,
        num_steps: Array,
        skipped: Skips,
    ):
        def order_of(step_number: Array) -> Array:
            return datasets.epoch_order(key, step_number // batches, total, batch_size)

        def body(carry):
            state, order, done, _, skipped = carry
            index = state.step % batches
            if key is not None and batches > 1:
                order = jax.lax.cond(
                    index == 0, order_of, lambda number: order, state.step
                )
            elif key is not None:
                order = order_of(state.step)
            batch = jax.tree.map(lambda x: x[order[index]], data)
            new, info = step(state, batch)
            bad = ~info.finite
            skipped = Skips(jnp.where(bad, skipped.row + 1, 0), skipped.total + bad)
            if skips:
                leave = bad & (skipped.row <= skips)
                new = jax.tree.map(
                    lambda a, b: jnp.where(leave, a, b), left_out(state, new), new
                )
            return new, order, done + 1, info, skipped

        def unfinished(carry):
            return (carry[2] < num_steps) & (carry[4].row <= skips)

        shapes = jax.eval_shape(
            lambda: step(state, jax.tree.map(lambda x: x[:batch_size], data))[1]
        )
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        nothing = nothing._replace(finite=jnp.array(True))
        begin = jnp.zeros_like(num_steps)
        start = (state, order_of(state.step), begin, nothing, skipped)
        state, _, done, info, skipped = jax.lax.while_loop(unfinished, body, start)
        return state, done, info, skipped

    return loop


class Budget(NamedTuple):
    """When to stop: exactly one of steps, epochs and seconds of training time."""

    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None

    def check(self) -> "Budget":
        """This budget, or a ValueError where it cannot be meant."""
        given = {k: v for k, v in self._asdict().items() if v is not None}
        if len(given) != 1:
            raise ValueError(
                f"got the budgets {given or 'none'}; expected exactly one of steps, "
                "epochs and seconds."
            )
        ((name, value),) = given.items()
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; expected a finite number above zero.")
        return self

    def in_steps(self, batches: int) -> int | None:
        """The number of updates, or None where the clock decides."""
        if self.steps is not None:
            return int(self.steps)
        return None if self.epochs is None else math.ceil(self.epochs * batches)


class EarlyStopping(NamedTuple):
    """Stop where a watched loss falls no more.

    Attributes:
      watch: its name in what `evaluate` returns.
      patience: how many looks without a new lowest value are borne.
      least: a new lowest value is below the last by this factor at least, in [0, 1).
    """

    watch: str = "validation_loss"
    patience: int = 50
    least: float = 0.0


class _Best(NamedTuple):
    """The best state yet, its value, and the looks since."""

    state: TrainState
    value: float = math.inf
    step: int = 0
    stale: int = 0

    def after(
        self, state: TrainState, record: dict[str, float], rule: EarlyStopping
    ) -> "_Best":
        if rule.watch not in record:
            raise ValueError(
                f"early stopping watches {rule.watch!r}, which evaluate does not "
                f"return; it returns {', '.join(sorted(set(record) - _CLOCKS))}."
            )
        value = record[rule.watch]
        if value < (1 - rule.least) * self.value:
            return _Best(state, value, int(state.step), 0)
        return self._replace(stale=self.stale + 1)


#: What every record has beside its losses.
_CLOCKS = {"step", "epoch", "seconds", "skipped"}


def _next_look(step: int, batches: int, every: int | None = None) -> int:
    """When to evaluate next: 1, 2, 4 … updates, then whole epochs some 10 % apart."""
    if every is not None:
        return (step // every + 1) * every
    if step < batches:
        return min(max(1, 2 * step), batches)
    epoch = step // batches
    return (epoch + max(1, epoch // 10)) * batches


def fit(
    step: Callable,
    state: TrainState,
    data: tuple[PyTree, PyTree],
    *,
    batch_size: int,
    steps: int | None = None,
    epochs: float | None = None,
    seconds: float | None = None,
    key: Array | None = None,
    evaluate: Callable[[PyTree], dict[str, Array]] | None = None,
    name: str = "fit",
    progress: bool = True,
    checkpoint_dir: str | pathlib.Path | None = None,
    checkpoint_seconds: float = 20.0,
    resume: bool = False,
    look_every: int | None = None,
    early_stopping: EarlyStopping | None = None,
    skips: int = 0,
) -> Fit:
    """Train until a budget is spent, all of it inside one compiled loop.

    Args:
      step: `step(state, batch) -> (state, Info)`, from `make_train_step`.
      state: where to start, from `init_state`.
      data: (inputs, targets), each a pytree with a leading sample axis.
      batch_size: samples an update; must divide the data.
      steps, epochs, seconds: the budget, exactly one of them. Seconds are training
        time: compilation and evaluation are not counted.
      key: shuffles each epoch anew; None keeps the stored order.
      evaluate: `evaluate(params) -> {name: loss}`, recorded in the history at 1, 2, 4 …
        updates, at epochs 1 to 4, then so that it takes a quarter of the time at most,
        and at the end.
      name: of the progress bar.
      progress: whether to show one.
      checkpoint_dir: where to keep state and history on disk, if anywhere.
      checkpoint_seconds: how often.
      resume: go on from the checkpoint in checkpoint_dir, where there is one.
      look_every: evaluate after so many updates each, in place of the above.
      early_stopping: when to give up, by a loss of `evaluate`; the state that is left
        is then the best seen, not the last.
      skips: how many updates in a row, and how many looks, may be borne that are not
        finite. Such an update is left out: the weights stay, a damped method damps
        more. Where there may be some, the history counts them as `skipped`, and a loss
        that is not finite stands in it as `NOT_FINITE`.

    Returns:
      A `Fit`. Divergence and Ctrl-C do not raise: they end the fit, say so in `status`
      and `message`, and leave the last good state.

    Raises:
      ValueError: on budgets, batch sizes or data that do not fit, before compiling.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> tx = optax.sgd(0.1)
      >>> step = make_train_step(lambda w, x: w * x, losses.squared_error, tx)
      >>> data = (jnp.ones((8, 1)), jnp.full((8, 1), 3.0))
      >>> start = init_state(jnp.zeros(1), tx)
      >>> result = fit(step, start, data, batch_size=4, epochs=20, progress=False)
      >>> result.status, bool(abs(result.state.params[0] - 3) < 1e-2)
      ('finished', True)
    """
    budget = Budget(steps, epochs, seconds).check()
    for what, count in (
        ("look_every", look_every),
        ("patience", early_stopping and early_stopping.patience),
    ):
        if count is not None and count < 1:
            raise ValueError(f"{what} is {count}; expected a whole number ≥ 1.")
    if skips < 0:
        raise ValueError(f"skips is {skips}; expected a whole number ≥ 0.")
    batches = datasets.num_batches(data, batch_size)
    datasets.check_finite(data)
    limit = budget.in_steps(batches)
    history: list[dict[str, float]] = []
    spent = earlier_compile = 0.0
    best = _Best(state)
    if resume and checkpoint_dir is not None and checkpoint.exists(checkpoint_dir):
        kept = _best_in(checkpoint_dir)
        if early_stopping is not None and checkpoint.exists(kept):
            earlier, notes = checkpoint.restore(kept, state)
            best = _Best(earlier, notes["value"], notes["step"])
        state, notes = checkpoint.restore(checkpoint_dir, state)
        history, spent = notes["history"], notes["seconds"]
        earlier_compile = notes["compile_seconds"]
        best = best._replace(stale=notes.get("stale", 0))

    number = int(state.step)

    def over() -> bool:
        by_clock = budget.seconds is not None and spent >= budget.seconds
        return by_clock or (limit is not None and number >= limit) or given_up()

    def given_up() -> bool:
        return early_stopping is not None and best.stale >= early_stopping.patience

    def ended(state: TrainState) -> tuple[TrainState, str]:
        """What is left of it: the last state, or the best where that was looked for."""
        if early_stopping is None or math.isinf(best.value):
            return state, ""
        kept = f"kept update {best.step}, {early_stopping.watch} {best.value:.3g}"
        return best.state, f"stopped early, {kept}" if given_up() else kept

    if history and over():
        left, message = ended(state)
        return Fit(left, history, spent, earlier_compile, "finished", message)
    started = time.perf_counter()
    loop = compiled_loop(step, batches * batch_size, batch_size, skips)
    data = jax.tree.map(jnp.asarray, data)
    skipped = no_skips()
    if history:
        before = int(history[-1].get("skipped", 0))
        skipped = skipped._replace(total=jnp.asarray(before, jnp.int32))
    jax.block_until_ready(loop(state, data, key, jnp.zeros((), jnp.int32), skipped))
    compile_seconds = time.perf_counter() - started + earlier_compile

    def look(state: TrainState) -> dict[str, float]:
        record: dict[str, float] = {
            "step": int(state.step),
            "epoch": int(state.step) / batches,
            "seconds": spent,
        }
        if evaluate is not None:
            record |= {k: float(v) for k, v in evaluate(state.params).items()}
        if skips:
            record["skipped"] = int(skipped.total)
        return record

    # What another training left in the directory goes when there is something new.
    fresh = not resume

    def save(state: TrainState) -> None:
        nonlocal fresh
        if checkpoint_dir is None:
            return
        if fresh:
            for directory in (checkpoint_dir, _best_in(checkpoint_dir)):
                checkpoint.clear(directory)
            fresh = False
        notes = {
            "history": history,
            "seconds": spent,
            "compile_seconds": compile_seconds,
            "stale": best.stale,
        }
        kept = _best_in(checkpoint_dir)
        if early_stopping is not None and checkpoint.latest_step(kept) != best.step:
            mark = {"value": best.value, "step": best.step}
            checkpoint.save(kept, best.step, best.state, mark)
        checkpoint.save(checkpoint_dir, int(state.step), state, notes)

    good, status, message = state, "finished", ""
    if not history:
        history.append(_held(look(state)))
        if early_stopping is not None:
            best = best.after(state, history[-1], early_stopping)
    looked, saved = spent, time.perf_counter()
    look_seconds = 0.0
    blind, lost, sound = 0, False, good
    pace: float | None = None
    bar = _progress_bar(name, budget, limit, progress)
    try:
        while not over():
            room = math.inf if limit is None else limit - number
            target = min(_next_look(number, batches, look_every) - number, room)
            wish = 1 if pace is None else max(1, int(CHUNK_SECONDS / pace))
            if pace is not None and budget.seconds is not None:
                wish = min(wish, max(1, math.ceil((budget.seconds - spent) / pace)))
            chunk = int(min(target, wish))
            begin = time.perf_counter()
            state, _, info, skipped = jax.block_until_ready(
                loop(good, data, key, jnp.asarray(chunk, jnp.int32), skipped)
            )
            took = time.perf_counter() - begin
            spent += took
            pace = took / chunk
            if int(skipped.row) > skips:
                status = "diverged"
                where = int(state.step)
                message = f"not finite at update {where}, {spent:.1f} s into training"
                if skips:
                    message += f", after {skips} in a row that were left out"
                break
            number = int(state.step)
            waited = spent - looked
            early = number <= 4 * batches or look_every is not None
            due = chunk == target and (early or waited > 3 * look_seconds)
            if due or over() or waited > 2 * CHUNK_SECONDS + 3 * look_seconds:
                begin = time.perf_counter()
                record = look(state)
                look_seconds, looked = time.perf_counter() - begin, spent
                lost = _not_finite(record) or _diverged(record, history)
                blind = blind + 1 if lost else 0
                if blind > skips:
                    status, good = "diverged", sound
                    message = (
                        f"loss {_shown(record):.3g} at update {number}, {spent:.1f} s "
                        "into training"
                    )
                    break
                history.append(_held(record))
                if early_stopping is not None:
                    best = best.after(state, history[-1], early_stopping)
            good = state
            sound = sound if lost else good
            _advance(bar, budget, number, spent, float(info.loss), history)
            if time.perf_counter() - saved > checkpoint_seconds:
                save(good)
                saved = time.perf_counter()
    except KeyboardInterrupt:
        status = "interrupted"
        message = f"interrupted at update {number}, {spent:.1f} s into training"
    finally:
        bar.close()
    save(good)
    left, said = ended(good)
    message = "; ".join(part for part in (message, said) if part)
    return Fit(left, history, spent, compile_seconds, status, message)


def _best_in(checkpoint_dir: str | pathlib.Path) -> pathlib.Path:
    """Where the best state of early stopping is kept, beside the last one."""
    directory = pathlib.Path(checkpoint_dir)
    return directory.with_name(directory.name + "-best")


def _shown(record: dict[str, float]) -> float:
    """The train loss of a record, or its first loss, or NaN where there is none."""
    values = [v for k, v in record.items() if k not in _CLOCKS]
    return record.get("train_loss", values[0] if values else math.nan)


def _not_finite(record: dict[str, float]) -> bool:
    return not all(math.isfinite(v) for v in record.values())


def _held(record: dict[str, float]) -> dict[str, float]:
    """The record as JSON can hold it."""
    return {k: v if math.isfinite(v) else NOT_FINITE for k, v in record.items()}


def _diverged(record: dict[str, float], history: list[dict[str, float]]) -> bool:
    """Whether a loss is far above its first one; one that is not finite is not."""
    loss = _shown(record)
    return math.isfinite(loss) and loss > DIVERGED * _shown(history[0])


def _progress_bar(name: str, budget: Budget, limit: int | None, show: bool) -> tqdm:
    total: Any = budget.seconds if limit is None else limit
    unit = "s" if limit is None else "updates"
    return tqdm(
        total=total,
        desc=name,
        disable=not show,
        bar_format="{desc:<30}{percentage:4.0f}% |{bar:20}| {n:.4g}/{total:.4g} "
        + unit
        + ", {remaining} left{postfix}",
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 5.0,
    )


def _advance(bar, budget, number, spent, batch_loss, history) -> None:
    shown = _shown(history[-1])
    loss = batch_loss if math.isnan(shown) else shown
    bar.set_postfix_str(f"update {number}, loss {loss:.2e}", refresh=False)
    now = spent if budget.seconds is not None else number
    bar.update(min(now, bar.total) - bar.n)
    if not bar.disable and number == 1:
        bar.refresh()
