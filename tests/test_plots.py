"""Figures: looks of rows, what is drawn of what diverged, and labels with units."""

import ast
import itertools
import pathlib

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from jaxphys import plots
from jaxphys.plots import Look, Sweep
from jaxphys.types import PhaseState, TangentState, Trajectories

#: The tables of rows that experiments have, as "model" or "model, optimizer".
TABLES = {
    "mass_spring": "mlp; hnn; hnn, LM",
    "three_body": "mlp; hnn; hnn, LM; pairwise, LM",
    "damped_spring": "mlp; hnn; dissipative; dissipative, LM",
    "pendulum_torque": "naive; symoden; symoden, LM; naive_embedded; symoden_embedded;"
    " symoden_embedded, LM",
    "double_pendulum": "mlp; lnn; delan; lnn, LM; delan, LM",
    "relativistic": "lnn; lnn, LM; hnn_velocities, LM; hnn, LM",
    "two_link_arm": "mlp; lnn; structured; delan; mlp, LM; lnn, LM; structured, LM;"
    " delan, LM",
    "pendulum_chain": "naive; second_order; structured; delan; structured, LM;"
    " delan, LM",
    "wave": "lattice; lattice, LM",
    "oscillators": "; ".join(f"mlp, {name}" for name in plots.OPTIMIZERS),
}


def table(text):
    rows = {}
    for row in text.split("; "):
        model, _, optimizer = row.partition(", ")
        optimizer = {"": "adam", "LM": "levenberg_marquardt"}.get(optimizer, optimizer)
        rows[row] = {"model": model, "optimizer": optimizer}
    return rows


def lab(color):
    """A color in CIELAB, where distances are about those that people see."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array(
        [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    )
    x, y, z = np.cbrt(xyz @ linear / np.array([0.9505, 1.0, 1.0888]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_an_experiment_have_labels_and_colors_of_their_own(name):
    looks = plots.looks(table(TABLES[name]))
    assert len({look.label for look in looks.values()}) == len(looks)
    for one, other in itertools.combinations(looks.values(), 2):
        assert np.linalg.norm(lab(one.color) - lab(other.color)) > 14, (one, other)
    for look in looks.values():
        assert lab(look.color)[0] < 85, f"{look} is hard to read on white"


def test_rows_of_one_model_are_shown_by_their_optimizers():
    looks = plots.looks(table(TABLES["wave"]))
    assert [*looks.values()] == [
        plots.OPTIMIZERS["adam"],
        plots.OPTIMIZERS["levenberg_marquardt"],
    ]


def test_rows_of_one_optimizer_are_shown_by_their_models():
    looks = plots.looks(table("mlp, LM; delan, LM"))
    assert [*looks.values()] == [plots.MODELS["mlp"], plots.MODELS["delan"]]


def test_a_pair_looks_the_same_in_every_table():
    seen = {}
    for text in TABLES.values():
        if len({entry["model"] for entry in table(text).values()}) > 1:
            for row, look in plots.looks(table(text)).items():
                assert seen.setdefault(row, look) == look
    assert seen["hnn"].label == "HNN"
    assert seen["hnn, LM"] == Look("HNN, LM", "#1f3f8f")


def test_entries_without_the_two_fields_are_looked_up_by_their_names():
    looks = plots.looks({"hig": {}, "delan": {"history": []}, "my_own_row": {}})
    assert looks["hig"] == plots.OPTIMIZERS["hig"]
    assert looks["delan"] == plots.MODELS["delan"]
    assert looks["my_own_row"].label == "my own row"
    assert len({look.color for look in looks.values()}) == 3
    assert plots.looks(looks.keys()) == looks


def test_colors_differ_however_many_rows_are_unknown():
    rows = {
        f"row_{i}": {"model": f"model_{i % 5}", "optimizer": f"optimizer_{i // 5}"}
        for i in range(20)
    }
    looks = plots.looks(rows)
    assert len({look.color for look in looks.values()}) == 20
    assert looks["row_7"].label == "model 2, optimizer 1"


def test_plots_know_no_experiment():
    package = pathlib.Path(plots.__file__).parent
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("jaxphys"):
                names = {node.module, *(f"{node.module}.{x.name}" for x in node.names)}
                rooms = {name.split(".")[1] for name in names if "." in name}
                assert rooms <= {"plots", "types", "data", "files"}, path


def entry(status, *losses):
    history = [
        {"step": i, "seconds": float(i), "test_loss": x, "train_loss": x}
        for i, x in enumerate(losses)
    ]
    return {"history": history, "final": {"status": status}}


RUN = {
    "experiment": "a",
    "methods": {
        "adam": entry("finished", 1.0, 0.5, 0.1),
        "gauss_newton": entry("diverged", 1.0, 20.0, 300.0),
        "gauss_newton_true_step": entry("diverged", 1.0),
        "hig": entry("finished", 1.0, 0.1)
        | {"repeats": [entry("diverged", 1.0, 2.0), entry("finished", 1.0, 0.2)]},
    },
}


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()], legend.get_lines()


def test_a_comparison_names_what_diverged_whether_it_has_a_curve_or_not(tmp_path):
    figure = plots.comparison({"a": RUN})
    names, lines = legend_of(figure)
    assert names == [
        "Adam",
        "Gauss–Newton, published step\n(diverged)",
        "Gauss–Newton, true step\n(diverged)",
        "HIG\n(diverged in 1 of 3)",
        "test loss",
        "train loss",
    ]
    crossed = [line.get_marker() == "x" for line in lines[:4]]
    assert crossed == [False, True, True, True]
    tests = [x for x in figure.axes[0].get_lines() if x.get_linestyle() == "-"]
    drawn = [len(line.get_xdata()) > 0 for line in tests]
    assert drawn == [True, True, False, True]
    plots.save(figure, tmp_path / "all.png")
    only = {"gauss_newton": RUN["methods"]["gauss_newton_true_step"]}
    alone = plots.comparison({"a": {"experiment": "a", "methods": only}})
    plots.save(alone, tmp_path / "alone.png")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["all.png", "alone.png"]


def test_each_run_of_a_comparison_has_dashes_of_its_own():
    lines = plots.comparison({"a": RUN, "b": RUN}).axes[0].get_lines()
    tests = [x for x in lines if str(x.get_label()).startswith(("a: ", "b: "))]
    styles = {
        name: {x.get_linestyle() for x in tests if x.get_label()[0] == name}
        for name in "ab"
    }
    assert styles == {"a": {"-"}, "b": {"--"}}


def test_looks_that_are_handed_in_take_the_place_of_others():
    figure = plots.comparison({"a": RUN}, looks={"hig": Look("κ = −1/2", "#123456")})
    names, lines = legend_of(figure)
    assert names[3].startswith("κ = −1/2")
    assert lines[3].get_color() == "#123456"
    assert names[0] == "Adam"


def test_ablations_leave_out_what_is_not_finite(tmp_path):
    losses = {"hig": {8: [1.0, 1e300], 16: [1e300], 32: [0.1, 0.2]}}
    sweep = Sweep("b [1]", losses, references={"adam": [1e300]})
    figure = plots.ablations([sweep], title="a")
    (panel,) = figure.axes
    lines = panel.get_lines()
    drawn = np.concatenate([x.get_ydata() for x in lines if x.get_marker() != "x"])
    assert drawn.size
    assert np.max(drawn) <= 1
    (crosses,) = (line for line in lines if line.get_marker() == "x")
    assert list(crosses.get_xdata()) == [8, 16]
    assert legend_of(figure)[0] == ["HIG", "Adam"]
    plots.save(figure, tmp_path / "a.png")


def test_a_sweep_with_a_legend_of_its_own_is_not_in_that_of_the_figure():
    powers = {"kappa_1": {0.1: [1.0], 1.0: [0.5]}, "kappa_-0.5": {0.1: [10.0]}}
    labels = ["κ = 1", "κ = −1/2"]
    looks = {
        row: Look(label, color)
        for row, label, color in zip(powers, labels, plots.power_colors(2), strict=True)
    }
    first = Sweep("κ [1]", {"hig": {1: [1e-3], -0.5: [1e-4]}}, log=False)
    sweeps = [first, Sweep("c [1]", powers, legend="by rate")]
    figure = plots.ablations(sweeps, title="a", looks=looks)
    assert legend_of(figure)[0] == ["HIG"]
    own = figure.axes[1].get_legend()
    assert [text.get_text() for text in own.get_texts()] == labels
    assert figure.axes[0].get_ylim()[1] < 1, "rates may leave the range"


T = np.linspace(0.0, 6.0, 31)


def motions(kind=PhaseState, n=1, *, lost=None):
    """Three oscillations; NaN after so many times where one diverges."""
    phase = np.arange(3.0)[:, None, None] / 5 + np.arange(n)
    q, p = np.cos(T[:, None] + phase), -np.sin(T[:, None] + phase)
    if lost is not None:
        q[:, lost:], p[:, lost:] = np.nan, np.nan
    energy = np.sum(q**2 + p**2, axis=2) * (1 + 1e-9 * np.cos(7 * T))
    return Trajectories(T, kind(q, p), energy=energy)


def labeled(figure):
    """Every panel has labels with units, its own or those of panels it shares with."""
    panels = [axes for axes in figure.axes if axes.axison]
    for name in ("x", "y"):
        labels = [getattr(axes, f"get_{name}label")() for axes in panels]
        assert any(labels)
        for label in filter(None, labels):
            assert "[" in label, label
    return figure


LEARNED = {"hnn": motions(n=2), "delan": motions(n=2, lost=12)}
GRID = (np.linspace(-1, 1, 9), np.linspace(-2, 2, 7))
FIELD = (np.ones((7, 9)), np.outer(GRID[1], GRID[0]))
LOST = (np.full((7, 9), np.nan), FIELD[1])
CURVE = np.cos(T)

FIGURES = {
    "coordinates_in_time": lambda looks: plots.coordinates_in_time(
        motions(n=2), LEARNED, ["$q_1$ [m]", "$q_2$ [m]"], looks=looks
    ),
    "learned_motion": lambda looks: plots.learned_motion(
        motions(n=2), LEARNED, looks=looks
    ),
    "energy_errors": lambda looks: plots.energy_errors(
        motions(n=2), LEARNED, looks=looks
    ),
    "planar_paths": lambda looks: plots.planar_paths(
        motions(n=2), LEARNED, looks=looks
    ),
    "followed_motion": lambda looks: plots.followed_motion(
        motions(n=2), LEARNED, looks=looks
    ),
    "mass_matrices": lambda looks: plots.mass_matrices(
        T,
        np.ones((31, 2, 2)),
        {"hnn": np.ones((31, 2, 2)), "delan": np.full((31, 2, 2), 2.0)},
        name="$q$ [rad]",
        looks=looks,
    ),
    "torques": lambda looks: plots.torques(
        T,
        {"whole": np.stack([CURVE, CURVE], 1), "inertial": np.ones((31, 2))},
        {"hnn": {"whole": np.ones((31, 2))}, "delan": {"inertial": np.ones((31, 2))}},
        looks=looks,
    ),
    "learned_functions": lambda looks: plots.learned_functions(
        T,
        {"a": CURVE, "b": 2 * CURVE},
        {"hnn": {"a": CURVE, "b": CURVE}, "delan": {"a": CURVE + np.nan, "b": CURVE}},
        names=("$x$ [1]", "$y$ [1]"),
        looks=looks,
    ),
    "fields": lambda looks: plots.fields(
        GRID, FIELD, {"hnn": FIELD, "delan": FIELD}, seen=(CURVE, CURVE), looks=looks
    ),
    "error_maps": lambda looks: plots.error_maps(
        GRID, FIELD, {"hnn": FIELD, "delan": LOST}, looks=looks
    ),
    "errors_over_targets": lambda looks: plots.errors_over_targets(
        GRID[0],
        {"hnn": np.full((9, 9), 0.1), "delan": np.full((9, 9), np.nan)},
        size="error [1]",
        looks=looks,
    ),
    "solved_fields": lambda looks: plots.solved_fields(
        FIELD[1], FIELD[0], {"hnn": FIELD[1], "delan": LOST[0]}, looks=looks
    ),
    "waves": lambda looks: plots.waves(
        GRID[1],
        GRID[0],
        FIELD[1],
        {"hnn": FIELD[0], "delan": LOST[0]},
        looks=looks,
    ),
    "constant_errors": lambda looks: plots.constant_errors(
        {
            "hnn": [{"seconds": float(i), "m_error": 0.5**i} for i in range(5)],
            "delan": [{"seconds": 0.0, "m_error": 1.0}],
        },
        {"m": "m_1"},
        {"m": 0.1},
        looks=looks,
    ),
    "work_precision": lambda looks: plots.work_precision(
        {
            "kepler": [
                {"method": method, "error": 10.0**-i, "seconds": 10.0**i}
                for method in ("hnn", "delan")
                for i in range(3)
            ]
        },
        looks=looks,
    ),
}


def texts(figure):
    found = [text for legend in figure.legends for text in legend.get_texts()]
    found += [axes.title for axes in figure.axes]
    return " ".join(text.get_text() for text in found)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_its_rows_by_their_looks_even_where_one_diverged(name, tmp_path):
    figure = labeled(FIGURES[name](None))
    assert "HNN" in texts(figure)
    assert "DeLaN" in texts(figure)
    plots.save(figure, tmp_path / "figure.png")
    looks = {"hnn": Look("first", "#111111"), "delan": Look("second", "#222222")}
    figure = FIGURES[name](looks)
    assert "first" in texts(figure)
    assert "second" in texts(figure)
    assert "HNN" not in texts(figure)


def test_figures_leave_the_style_of_others_alone():
    before = dict(mpl.rcParams)
    plots.fields(GRID, FIELD, {})
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("kind", [PhaseState, TangentState])
def test_second_components_are_labeled_by_the_kind_of_the_state(kind):
    symbol = "p" if kind is PhaseState else "v"
    figure = labeled(plots.phase_portraits(motions(kind)))
    assert symbol in figure.axes[0].get_ylabel()
    figure = labeled(plots.followed_motion(motions(kind), {"hnn": motions(kind)}))
    assert symbol in figure.axes[1].get_ylabel()
    levels = plots.energy_levels(lambda q, p: q + p[:, None], [motions(kind)])
    assert symbol in labeled(levels).axes[0].get_ylabel()


@pytest.mark.parametrize(("n", "panels"), [(1, 1), (6, 6), (20, 4)])
def test_trajectories_are_drawn_by_coordinates_and_lattices_as_maps(n, panels):
    figure = labeled(plots.phase_portraits(motions(n=n, lost=20)))
    assert len(figure.axes) == panels
    assert len(labeled(plots.motion(motions(n=n))).axes) == min(n, 6)


@pytest.mark.parametrize("conservative", [True, False])
@pytest.mark.parametrize("lost", [None, 12])
def test_energies_are_drawn_as_far_as_they_are_known(conservative, lost, tmp_path):
    several = motions(lost=lost)._replace(meta={"conservative": conservative})
    figure = labeled(plots.energy_figure(several))
    assert figure.axes[0].get_yscale() == ("log" if conservative else "linear")
    plots.save(figure, tmp_path / "energy.png")


def test_energies_that_are_not_known_are_told():
    with pytest.raises(ValueError, match="no energy"):
        plots.energy_figure(motions()._replace(energy=None))


def test_angles_are_wrapped_without_lines_across():
    x, y = plots.wrapped(np.linspace(0, 7, 50), np.arange(50.0))
    assert np.nanmax(np.abs(x)) <= np.pi
    assert np.sum(np.isnan(x)) == np.sum(np.isnan(y)) == 2 - 1
    assert np.nanmax(np.abs(np.diff(x))) < 0.2


def test_several_motions_are_animated_side_by_side(tmp_path):
    points = np.stack([np.zeros((31, 2)), np.stack([np.cos(T), np.sin(T)], 1)], 1)
    both = {"true": points, "learned": 0.9 * points}
    moving = plots.animation(T / 12, both, units=("s", "m"))
    path = plots.save_animation(moving, tmp_path / "moving.gif")
    assert [p.name for p in tmp_path.iterdir()] == ["moving.gif"]
    with Image.open(path) as image:
        assert image.n_frames == 10
    with pytest.raises(ValueError, match=r"expected \(T, k, 2\)"):
        plots.animation(T, {"a": points[:5]})


def test_controlled_simulators_are_drawn_with_units():
    x = np.stack([np.cos(T), np.sin(T)], 1)
    state = PhaseState(x, -x)
    labeled(plots.controlled_motion(T, state, state, np.ones(4)))
    density = np.outer(np.ones(31), np.hanning(8))
    labeled(plots.controlled_state(T, np.arange(8), density, x**2, [0.5, 0.5], T))
    angles, forces = np.stack([x, x]), np.ones((2, 30))
    figure = plots.identified_motion(
        T, angles, angles, angles, forces, noise=0.1, method="Adam"
    )
    assert "found by Adam" in texts(labeled(figure))


def test_a_sweep_marks_what_diverged():
    errors = np.array([[1e-3, 1e300], [1e-2, np.nan]])
    figure = plots.sweep([0.1, 1.0], [8, 16], errors, what="error [1]")
    numbers = [text.get_text() for text in labeled(figure).axes[0].texts]
    assert numbers == ["1.0e-03", "diverged", "1.0e-02", "diverged"]
