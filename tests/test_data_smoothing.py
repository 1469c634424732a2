"""Derivatives of measured motions, and smoothing: orders, exact cases, windows."""

import numpy as np
import pytest

from jaxphys import data
from jaxphys.types import PhaseState, TangentState, Trajectories


def uneven(total, seed=0, end=3.0):
    """Times whose steps differ by a factor of up to three."""
    steps = np.random.default_rng(seed).uniform(0.5, 1.5, total)
    return end * (np.cumsum(steps) - steps[0]) / (np.sum(steps) - steps[0])


@pytest.mark.parametrize(
    ("window", "order", "degree"),
    [(None, None, 2), (5, None, 2), (3, 2, 2), (7, None, 3), (7, 1, 1), (11, 5, 5)],
)
def test_a_polynomial_of_the_degree_is_differentiated_exactly(window, order, degree):
    t = uneven(23)
    powers = np.random.default_rng(1).normal(size=(2, 3, degree + 1))
    polynomials = [[np.polynomial.Polynomial(c) for c in row] for row in powers]
    x = np.stack([np.stack([f(t) for f in row], -1) for row in polynomials])
    rate = np.stack([np.stack([f.deriv()(t) for f in row], -1) for row in polynomials])
    found = data.derivatives(t, x, window=window, order=order)
    np.testing.assert_allclose(found, rate, rtol=1e-9, atol=1e-8)
    if window is not None:
        value = data.smoothed(t, x, window, order)
        np.testing.assert_allclose(value, x, rtol=1e-9, atol=1e-9)


def test_a_polynomial_above_the_degree_is_not():
    t = uneven(23)
    found = data.derivatives(t, (t**4)[:, None], window=9)
    assert np.max(np.abs(found[:, 0] - 4 * t**3)) > 1e-3


def test_the_three_point_formula_is_of_order_two_on_uneven_times():
    errors = []
    for total in (40, 80, 160, 320):
        grid = np.linspace(0.0, 1.0, total)
        t = 3 * (grid + 0.1 * np.sin(5 * grid))
        found = data.derivatives(t, np.sin(2 * t)[:, None])[:, 0]
        errors.append(np.max(np.abs(found - 2 * np.cos(2 * t))))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.15)


def test_each_time_is_fitted_by_its_nearest_window():
    t, x = uneven(15), np.random.default_rng(0).normal(size=(15, 1))
    found = data.derivatives(t, x, window=7, order=3)[:, 0]
    values = data.smoothed(t, x, 7, 3)[:, 0]
    for i in range(15):
        start = min(max(i - 3, 0), 8)
        near = slice(start, start + 7)
        fit = np.polynomial.Polynomial.fit(t[near], x[near, 0], 3)
        np.testing.assert_allclose(found[i], fit.deriv()(t[i]), rtol=1e-7)
        np.testing.assert_allclose(values[i], fit(t[i]), rtol=1e-7)


def test_blocks_of_times_make_no_difference(monkeypatch):
    t, x = uneven(40), np.random.default_rng(0).normal(size=(3, 40, 2))
    whole = data.derivatives(t, x, window=9)
    monkeypatch.setattr("jaxphys.data.smoothing._BLOCK", 400)
    np.testing.assert_allclose(data.derivatives(t, x, window=9), whole, rtol=1e-12)


def test_accelerations_are_exact_for_polynomials_of_degree_nine():
    t = np.array([0.0, 0.5, 0.9, 1.6, 2.0, 2.3])
    for window in (2, 3, 5):
        degree = 2 * window - 1
        q, v = (t**degree)[:, None], (degree * t ** (degree - 1))[:, None]
        found = data.accelerations(t, q, v, window=window)[:, 0]
        wanted = degree * (degree - 1) * t ** (degree - 2)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * wanted.max())


def test_accelerations_are_of_eighth_order():
    errors = []
    for dt in (0.2, 0.1):
        t = dt * np.arange(-2, 3)
        wave = np.sin(3 * t + 0.5)[None, :, None]
        found = data.accelerations(t, wave, 3 * np.cos(3 * t + 0.5)[None, :, None])
        errors.append(abs(found + 9 * wave)[0, 2, 0])
    assert 7.5 < np.log2(errors[0] / errors[1]) < 8.5


def test_accelerations_that_are_invalid_are_errors():
    t, x = np.arange(3.0), np.ones((3, 2))
    with pytest.raises(ValueError, match="window is 5; expected 2 to 3"):
        data.accelerations(t, x, x)
    with pytest.raises(ValueError, match="expected the same shape"):
        data.accelerations(t, x, x[:, :1], window=2)


def test_derivatives_keep_their_dtype(dtype):
    t, x = uneven(20).astype(dtype), np.ones((2, 20, 1), dtype)
    assert data.derivatives(t, x).dtype == dtype
    assert data.derivatives(t, x, window=7).dtype == dtype
    assert data.smoothed(t, x, 7).dtype == dtype
    assert data.derivatives(t, x.astype(int)).dtype == np.float64


def noisy_sine(seed, total=500, sigma=0.02):
    t = np.linspace(0.0, 10.0, total)
    noise = np.random.default_rng(seed).normal(size=(total, 1))
    return t, np.sin(2 * t)[:, None] + sigma * noise, 2 * np.cos(2 * t)[:, None]


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("seed", range(4))
def test_the_suggested_window_is_nearly_the_best(seed):
    t, x, rate = noisy_sine(seed)
    errors = {w: rms(data.derivatives(t, x, window=w) - rate) for w in range(5, 200, 4)}
    window = data.suggest_window(t, x)
    assert window % 2 == 1
    error = rms(data.derivatives(t, x, window=window) - rate)
    assert error < 2 * min(errors.values())
    assert error < rms(data.derivatives(t, x) - rate) / 5


def test_smoothing_takes_noise_away():
    t, x, _ = noisy_sine(0)
    left = data.smoothed(t, x, data.suggest_window(t, x)) - np.sin(2 * t)[:, None]
    assert rms(left) < 0.02 / 2


@pytest.mark.parametrize("total", [20, 100, 500])
@pytest.mark.parametrize("sigma", [0.0, 1e-9])
def test_clean_data_want_no_window(total, sigma):
    t, x, _ = noisy_sine(0, total, sigma)
    assert data.suggest_window(t, x) is None
    assert data.suggest_window(t.astype("f4"), x.astype("f4")) is None


def test_what_is_conserved_is_not_taken_for_noise():
    t, x, _ = noisy_sine(0)
    still = np.full_like(x, 0.3)
    assert data.suggest_window(t, np.concatenate([still, t[:, None]], -1)) is None
    alone = data.suggest_window(t, x)
    assert data.suggest_window(t, np.concatenate([x, still], -1)) == alone


def test_units_do_not_change_the_window():
    t, x, _ = noisy_sine(0)
    alone = data.suggest_window(t, x)
    assert data.suggest_window(1e3 * t, 1e-3 * x) == alone
    slow = np.sin(0.2 * t)[:, None] + noisy_sine(1)[1] - np.sin(2 * t)[:, None]
    assert data.suggest_window(t, slow) != alone
    both, scaled = (np.concatenate([x, size * slow], -1) for size in (1.0, 1e6))
    assert data.suggest_window(t, scaled) == data.suggest_window(t, both)


def test_ten_times_are_too_few_to_tell_noise():
    assert data.suggest_window(uneven(10), np.ones((10, 1))) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": 4}, "window is 4; expected an odd number"),
        ({"window": 1}, "window is 1; expected an odd number of times ≥ 3"),
        ({"window": 11}, "window is 11, and there are 10 times; lower it to 9"),
        ({"window": 5, "order": 5}, "order is 5; expected a whole number from 1 to 4"),
        ({"window": 5, "order": 0}, "order is 0"),
        ({"order": 2}, "order is 2 and window is None"),
        ({"x": np.ones(10)}, r"x of shape \(10,\); expected \(\.\.\., 10, n\)"),
        ({"t": np.zeros(10)}, "increasing times"),
        ({"t": np.arange(2.0), "x": np.ones((2, 1))}, "at least 3 increasing times"),
        ({"x": np.where(np.arange(10) > 8, np.nan, 1.0)[:, None]}, "times number 9;"),
    ],
)
def test_derivatives_that_are_invalid_are_errors(change, words):
    options = {"t": np.arange(10.0), "x": np.ones((10, 1))} | change
    with pytest.raises(ValueError, match=words):
        data.derivatives(options.pop("t"), options.pop("x"), **options)


def motion(kind=TangentState, times=9, **fields):
    """Two motions whose positions and second parts have their own values."""
    t = uneven(times)
    q = np.stack([np.sin(2 * t), np.cos(t)], -1) + np.arange(2)[:, None, None]
    return Trajectories(t, kind(q, q**2), **fields)


@pytest.mark.parametrize("kind", [PhaseState, TangentState])
@pytest.mark.parametrize("options", [{}, {"window": 5}, {"window": 7, "order": 2}])
def test_rates_are_derivatives_of_both_parts_of_a_state(kind, options):
    bare = motion(kind)
    found = data.with_derivatives(bare, **options)
    assert type(found.rate) is kind
    for rate, x in zip(found.rate, bare.y, strict=True):
        expected = data.derivatives(bare.t, x, **options)
        np.testing.assert_array_equal(rate, expected)


def test_rates_that_are_known_stay():
    rate = TangentState(*np.ones((2, 2, 9, 2)))
    found = data.with_derivatives(motion(rate=rate), window=5)
    assert found.rate.q is rate.q
    assert found.rate.v is rate.v


def test_auto_takes_the_suggested_window():
    t, x, rate = noisy_sine(0)
    noisy = Trajectories(t, TangentState(x[None], rate[None]))
    found = data.with_derivatives(noisy, window="auto").rate
    window = data.suggest_window(t, np.concatenate([x, rate], -1))
    np.testing.assert_array_equal(found.q, data.derivatives(t, x[None], window=window))
    clean = noisy._replace(y=TangentState(rate[None], rate[None]))
    np.testing.assert_array_equal(
        data.with_derivatives(clean, window="auto").rate.q,
        data.derivatives(t, rate[None]),
    )
    with pytest.raises(ValueError, match="window is 'best'; expected a number"):
        data.with_derivatives(noisy, window="best")


@pytest.mark.parametrize("kind", [PhaseState, TangentState])
@pytest.mark.parametrize(
    ("window", "times", "used"), [(5, 9, 5), (31, 9, 9), (31, 8, 7), (7, 7, 7)]
)
def test_states_and_rates_are_smoothed_alike(kind, window, times, used):
    rough = motion(kind, times)
    found = data.smoothed_trajectories(rough, window)
    for y, rate, x in zip(found.y, found.rate, rough.y, strict=True):
        np.testing.assert_array_equal(y, data.smoothed(rough.t, x, used))
        expected = data.derivatives(rough.t, x, window=used)
        np.testing.assert_array_equal(rate, expected)


@pytest.mark.parametrize("window", [0, None, 3])
@pytest.mark.parametrize(
    ("times", "pushed", "options"),
    [
        (9, False, {"window": 5, "order": 4}),
        (5, False, {"window": 5, "order": 4}),
        (4, False, {}),
        (9, True, {}),
    ],
)
def test_without_a_window_states_stay_as_they_are(window, times, pushed, options):
    u = np.ones((2, times, 1)) if pushed else None
    clean = motion(times=times, u=u)
    found = data.smoothed_trajectories(clean, window)
    for y, rate, x in zip(found.y, found.rate, clean.y, strict=True):
        np.testing.assert_array_equal(y, x)
        expected = data.derivatives(clean.t, x, **options)
        np.testing.assert_array_equal(rate, expected)


def test_rates_that_are_known_are_not_smoothed():
    rate = TangentState(*np.ones((2, 2, 9, 2)))
    found = data.smoothed_trajectories(motion(rate=rate), 5)
    assert found.rate.v is rate.v
    assert np.any(found.y.v != motion().y.v)


@pytest.mark.parametrize("window", [0, 5, 7])
def test_averaged_inputs_belong_to_the_accelerations(window):
    """Where v̇ = u, the slope of v and the averaged input are the same."""
    t = uneven(12)
    u = np.random.default_rng(0).normal(size=(3, 12, 2))
    steps = np.diff(t)[:, None]
    v = np.concatenate([np.zeros((3, 1, 2)), np.cumsum(steps * u[:, :-1], 1)], axis=1)
    pushed = Trajectories(t, TangentState(v, v), u=u)
    smooth = data.averaged_inputs(data.smoothed_trajectories(pushed, window), window)
    np.testing.assert_allclose(smooth.u, smooth.rate.v, rtol=1e-12)
    assert np.max(np.abs(smooth.u - u)) > 0.1


def test_constant_inputs_are_their_own_average():
    u = np.full((2, 9, 1), 3.0)
    for window in (0, 5):
        found = data.averaged_inputs(motion(u=u), window).u
        np.testing.assert_allclose(found, u, rtol=1e-12)
    assert data.averaged_inputs(motion(), 5).u is None


def test_states_from_clean_rates_have_one_small_error_a_trajectory():
    """Noise σ becomes one offset of σ/√T, whatever the times are."""
    random = np.random.default_rng(0)
    t = np.cumsum(random.uniform(0.05, 0.15, 30))
    phase = 2 * t[None, :, None] + random.uniform(0, 6, (400, 1, 1))
    clean = PhaseState(np.sin(phase), np.cos(phase))
    rate = PhaseState(2 * clean.p, -2 * clean.q)
    noisy = PhaseState(*(x + 0.1 * random.normal(size=x.shape) for x in clean))
    found = data.integrated(Trajectories(t, noisy, rate))
    for x, y in zip(found.y, clean, strict=True):
        off = x - y
        assert np.max(np.std(off, axis=1)) < 1e-3
        assert np.std(off.mean(axis=1)) == pytest.approx(0.1 / np.sqrt(30), rel=0.1)
    with pytest.raises(ValueError, match="no rates to integrate"):
        data.integrated(Trajectories(t, noisy))
    short = PhaseState(*(x[:, :3] for x in noisy))
    with pytest.raises(ValueError, match="got 3 times; expected 4 or more"):
        data.integrated(Trajectories(t[:3], short, short))
