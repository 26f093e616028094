"""Pictures of a search: what is drawn where, in which colour, and that it stays in the frame."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo
from numpy.typing import NDArray
from PIL import Image, ImageColor

import nats_gym
from nats_gym import cli
from nats_gym.envs import bar_drawing, canvas, cell_curves, cell_drawing, list_drawing, picture
from nats_gym.envs.drawing import Drawing, drawing_of
from nats_gym.envs.rendering import Scene, Window, draw, text
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace, SizeSpace, TopologySpace
from nats_gym.spaces.topology import EDGES, OPERATIONS

CELL, SIZE = TopologySpace(), SizeSpace()


class Mixed(ArchitectureSpace):
    """Unequal choices; without layers there is no width to choose, and one row is none."""

    name = "mixed"
    decisions: ClassVar = {
        "depth": ("0", "1", "2"),
        "width": ("8", "16", "32", "64"),
        "skip": ("no", "yes"),
    }

    def is_valid(self, choices: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(~((choices[..., 0] == 0) & (choices[..., 2] == 1)))

    def canonical(self, choices: NDArray[np.int64]) -> NDArray[np.int64]:
        standing = choices.copy()
        standing[standing[..., 0] == 0, 1] = 0
        return standing


class Long(ArchitectureSpace):
    """More decisions, and longer names, than fit."""

    name = "long"
    decisions: ClassVar = {f"a rather long decision {i}": ("a choice " * 9, "b") for i in range(60)}


MIXED, LONG = Mixed(), Long()
OPEN_CELL, OPEN_SIZE = Scene(CELL, "cifar10", [-1] * 6), Scene(SIZE, "cifar10", [-1] * 5)
BUDGETED = Scene(
    CELL,
    "cifar10",
    choices=[3, 1, 0, -1, -1, -1],
    position=3,
    accuracy=91.2,
    provenance="surrogate",
    clock=1234.0,
    budget=20_000.0,
    evaluations=3,
    incumbent=(6111, 91.61),
    horizon=(3, 20),
    caption="epochs 12",
)
#: Okabe & Ito's colours, from their web page "Color Universal Design".
OKABE_ITO = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}

Region = NDArray[np.bool_]


def rgb(colour: str) -> NDArray[np.uint8]:
    return np.array(ImageColor.getrgb(colour), np.uint8)


def is_colour(frame: NDArray[np.uint8], colour: str) -> Region:
    return np.asarray((frame == rgb(colour)).all(axis=-1))


def in_drawing(changed: Region) -> Region:
    """The part of a picture where the architecture is drawn; words and legend lie outside."""
    changed = changed.copy()
    changed[:64] = changed[canvas.LEGEND_TOP - 4 :] = False
    changed[:, canvas.PANEL_LEFT - 14 :] = False
    return changed


def one_edge(edge: int, choice: int) -> Scene:
    choices = [-1] * 6
    choices[edge] = choice
    return dataclasses.replace(OPEN_CELL, choices=choices)


def edge_pixels(edge: int) -> NDArray[np.int64]:
    """Pixels under an edge's line, in order, without those under its label: ``(m, 2)``, x, y."""
    curve = cell_curves.curves()[edge]
    line = curve.line + cell_drawing.CELL_CORNER
    away = np.abs(line - np.add(curve.label, cell_drawing.CELL_CORNER))
    return np.floor(line[(away[:, 0] > 45) | (away[:, 1] > 14)]).astype(np.int64)


# ── the picture as a whole ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scene", [OPEN_CELL, OPEN_SIZE, BUDGETED], ids=["tss", "sss", "budgeted"])
def test_a_picture_is_the_same_array_each_time(scene: Scene) -> None:
    frame = draw(scene)
    assert (frame.shape, frame.dtype) == ((480, 640, 3), np.uint8)
    first = frame.copy()
    frame[:] = 0  # a caller may write on its frame
    assert np.array_equal(draw(scene), first)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("space", SIZE),
        ("dataset", "cifar100"),
        ("choices", [3, 1, 2, -1, -1, -1]),
        ("position", 4),
        ("position", None),
        ("accuracy", 91.21),
        ("accuracy", None),
        ("provenance", "measured"),
        ("clock", 1235.0),
        ("budget", 20_001.0),
        ("budget", np.inf),
        ("evaluations", 4),
        ("incumbent", (6112, 91.61)),
        ("incumbent", (6111, 91.62)),
        ("incumbent", None),
        ("horizon", (4, 20)),
        ("horizon", (3, 21)),
        ("horizon", None),
        ("caption", "epochs 200"),
        ("caption", ""),
    ],
)
def test_every_field_shows(field: str, value: Any) -> None:
    changed = dataclasses.replace(BUDGETED, **{field: value})
    if field == "space":
        changed = dataclasses.replace(changed, choices=[3, 1, 0, -1, -1])
    assert not np.array_equal(draw(changed), draw(BUDGETED))
    assert text(changed) != text(BUDGETED)


def test_the_text_tells_what_the_picture_tells() -> None:
    assert text(BUDGETED).splitlines() == [
        "topology space · cifar10 · clock 1,234 of 20,000 s · 3 evaluated · "
        "accuracy 91.20 % (surrogate) · incumbent 91.61 % (index 6111) · step 3 of 20",
        "  1←0  nor_conv_3x3",
        "  2←0  skip_connect",
        "  2←1  none",
        "  3←0  ?",
        "  3←1  ·",
        "  3←2  ·",
        "  epochs 12",
    ]


@pytest.mark.parametrize("space", [CELL, SIZE, MIXED, LONG], ids=lambda space: space.name)
def test_nothing_leaves_the_frame(space: ArchitectureSpace, monkeypatch) -> None:
    long = "as long as one likes, letters beyond ASCII (←→×µ) and\nlines " * 40
    extreme = Scene(
        space,
        dataset=long,
        choices=(space.choice_counts - 1).tolist(),
        position=0,
        accuracy=-1e300,
        provenance=long,
        clock=1e300,
        budget=1e299,
        evaluations=10**300,
        incumbent=(space.size - 1, 1e300),
        horizon=(10**300, 10**299),
        caption=long,
    )
    inside = draw(extreme)
    for margin in (inside[:8], inside[-8:], inside[:, :8], inside[:, -8:]):
        assert (margin == 255).all()

    background = picture._background(drawing_of(space))
    larger = Image.new("RGB", (1280, 960), "white")
    larger.paste(background)
    monkeypatch.setattr(picture, "_background", lambda drawing: larger)
    frame = draw(extreme)
    assert np.array_equal(frame[:480, :640], inside)
    assert (frame[480:] == 255).all()
    assert (frame[:, 640:] == 255).all()


@pytest.mark.parametrize("caption", ["", " ", "\n", "+", "word" * 300, "a b " * 300])
def test_any_caption_can_be_drawn(caption: str) -> None:
    assert draw(dataclasses.replace(BUDGETED, caption=caption)).shape == (480, 640, 3)


def test_letters_that_the_font_lacks_are_question_marks() -> None:
    def drawn(caption: str) -> NDArray[np.uint8]:
        return draw(dataclasses.replace(OPEN_SIZE, caption=caption))

    assert np.array_equal(drawn("é → µ\n×"), drawn("? ? ? ?"))
    assert not np.array_equal(drawn("1←0"), drawn("1?0"))  # an arrow that we draw
    font = canvas.font(20)
    missing = bytes(font.getmask("\uffff"))
    for letter in [*map(chr, range(33, 127)), "·", "…", "±"]:
        assert bytes(font.getmask(letter)) != missing, letter


@pytest.mark.parametrize("choices", [[-1] * 6, [1] * 6], ids=["empty", "complete"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accuracy", 50.0),
        ("incumbent", (1, 50.0)),
        ("horizon", (1, 2)),
        ("budget", 10.0),
        ("clock", 5.0),
        ("evaluations", 1),
        ("caption", "x"),
    ],
)
def test_every_field_shows_alone(choices: list[int], field: str, value: Any) -> None:
    bare = Scene(CELL, "cifar10", choices)
    assert not np.array_equal(draw(bare), draw(dataclasses.replace(bare, **{field: value})))


def test_overdrawn_and_empty_budgets_fill_the_bar() -> None:
    def filled(clock: float, budget: float) -> int:
        scene = dataclasses.replace(OPEN_CELL, clock=clock, budget=budget)
        panel = draw(scene)[:, canvas.PANEL_LEFT :]
        return int(is_colour(panel, canvas.GREY).sum(axis=1).max())

    width = canvas.PANEL_RIGHT - canvas.PANEL_LEFT
    assert filled(5_000, 20_000) == width // 4
    assert filled(20_000, 20_000) == filled(21_000, 20_000) == filled(1, 0) == width


def luminance(colour: str) -> float:
    """Relative luminance of the Web Content Accessibility Guidelines 2."""
    share = rgb(colour) / 255
    linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize(
    ("letters", "ground"),
    [
        (canvas.INK, canvas.WHITE),
        (canvas.GREY, canvas.WHITE),
        (canvas.NEXT_INK, canvas.WHITE),
        (canvas.WHITE, bar_drawing.CELL_COLOUR),
        (canvas.INK, bar_drawing.REDUCTION_COLOUR),
    ],
)
def test_letters_have_the_contrast_that_accessibility_asks_for(letters: str, ground: str) -> None:
    darker, lighter = sorted((luminance(letters), luminance(ground)))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_colours_are_those_that_colour_blind_readers_tell_apart() -> None:
    operations = [
        colour for name, colour in cell_drawing.OPERATION_COLOURS.items() if name != "none"
    ]
    distinct = [*operations, canvas.NEXT]
    assert set(distinct) <= OKABE_ITO
    assert len(set(distinct)) == 5
    assert {bar_drawing.CELL_COLOUR, bar_drawing.REDUCTION_COLOUR} <= OKABE_ITO
    assert tuple(cell_drawing.OPERATION_COLOURS) == OPERATIONS


# ── cells ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("edge", range(6))
def test_an_edge_has_its_operations_colour(edge: int) -> None:
    x, y = edge_pixels(edge).T
    for choice, name in enumerate(OPERATIONS):
        along = is_colour(draw(one_edge(edge, choice)), cell_drawing.OPERATION_COLOURS[name])[y, x]
        if name == "none":  # dashed: some of it, in pieces
            assert 0.3 < along.mean() < 0.8
            assert np.count_nonzero(np.diff(along.astype(int)) == 1) >= 2
        else:
            assert along[1:-1].all()


@pytest.mark.parametrize("edge", range(6))
def test_an_edge_goes_from_its_source_to_its_target(edge: int) -> None:
    target, source = EDGES[edge]
    points = cell_curves.curves()[edge].points
    for end, node in ((points[0], source), (points[-1], target)):
        distance = np.hypot(*(end - cell_curves.NODES[node]))
        assert cell_curves.NODE_RADIUS < distance < cell_curves.NODE_RADIUS + 6
    # The arrow makes the edge broader near its target than near its source.
    drawn = in_drawing(
        is_colour(draw(one_edge(edge, 3)), cell_drawing.OPERATION_COLOURS[OPERATIONS[3]])
    )
    rows, columns = np.nonzero(drawn)

    def pixels_near(point: NDArray[np.float64]) -> int:
        x, y = point + cell_drawing.CELL_CORNER
        return int(np.count_nonzero(np.hypot(columns - x, rows - y) < 14))

    assert pixels_near(points[-8]) > 1.15 * pixels_near(points[7])


def test_edges_and_their_labels_overlap_nothing() -> None:
    open_ = draw(OPEN_CELL)
    shown = [
        in_drawing((draw(one_edge(edge, 3)) != open_).any(axis=-1))  # the widest label
        for edge in range(6)
    ]
    for drawn in shown:
        assert drawn.sum() > 500
    for one, other in itertools.combinations(shown, 2):
        assert not (one & other).any()
    rows, columns = np.indices((480, 640))
    for x, y in np.add(cell_curves.NODES, cell_drawing.CELL_CORNER):
        node = np.hypot(columns + 0.5 - x, rows + 0.5 - y) < cell_curves.NODE_RADIUS
        assert not any((node & drawn).any() for drawn in shown)
    # "input", "output" and the numbers are where nothing else is drawn.
    words = in_drawing(is_colour(open_, canvas.GREY) | is_colour(open_, canvas.INK))
    assert not any((words & drawn).any() for drawn in shown)


@pytest.mark.parametrize("edge", range(6))
def test_open_is_not_none_and_the_next_stands_out(edge: int) -> None:
    x, y = edge_pixels(edge).T
    open_, none = draw(OPEN_CELL), draw(one_edge(edge, 0))
    next_ = draw(dataclasses.replace(OPEN_CELL, position=edge))
    assert in_drawing((open_ != none).any(axis=-1)).sum() > 300
    assert not is_colour(open_, cell_drawing.OPERATION_COLOURS["none"])[y, x].any()
    assert is_colour(open_, canvas.PALE)[y, x].mean() > 0.2
    assert is_colour(next_, canvas.NEXT)[y, x][1:-1].all()
    assert in_drawing(is_colour(next_, canvas.NEXT_HALO)).sum() > 300
    for other in set(range(6)) - {edge}:
        x, y = edge_pixels(other).T
        assert np.array_equal(next_[y, x], open_[y, x])


# ── widths ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("row", range(5))
def test_bars_are_as_wide_as_their_channels(row: int) -> None:
    colour = bar_drawing.REDUCTION_COLOUR if row % 2 else bar_drawing.CELL_COLOUR
    measured = []
    for choice in range(8):
        choices = [-1] * 5
        choices[row] = choice
        frame = draw(dataclasses.replace(OPEN_SIZE, choices=choices))
        _, top, _, bottom = bar_drawing.bar_box(row, 8 * (choice + 1))
        drawn = in_drawing(is_colour(frame, colour))
        assert not np.delete(drawn, np.s_[top:bottom], axis=0).any()
        columns = np.flatnonzero(drawn[top + 3])
        assert columns[-1] - columns[0] + 1 == len(columns)
        measured.append(len(columns))
    assert measured == [measured[0] * (choice + 1) for choice in range(8)]


def test_open_widths_are_pale_outlines_and_the_next_stands_out() -> None:
    frame = draw(dataclasses.replace(OPEN_SIZE, position=2))
    left, top, right, bottom = bar_drawing.bar_box(2, 64)
    assert is_colour(frame, canvas.NEXT)[top:bottom, left:right].sum() > 2 * (right - left)
    left, top, right, bottom = bar_drawing.bar_box(3, 64)
    assert is_colour(frame, canvas.PALE)[top, left:right].all()
    assert (frame[top + 1 : bottom - 1, left + 1 : right - 1] == 255).all()


# ── a space without a drawing of its own ─────────────────────────────────────────────────────────


@pytest.mark.one_in(4)
@pytest.mark.parametrize("count", [1, 2, 12, 13, 14, 26, 40, 41, 60])
def test_a_list_stays_in_its_area_and_marks_the_next(count: int) -> None:
    class Some(Long):
        decisions: ClassVar = dict(list(Long.decisions.items())[:count])

    space = Some()
    bare = Scene(space, "cifar10", [-1] * count)
    seen = list_drawing.layout(count)
    assert seen.seen == count or seen.seen >= 36
    assert seen.height >= list_drawing.LEAST_HEIGHT
    frames = {}
    for position in range(count):
        frame = draw(dataclasses.replace(bare, position=position))
        halo = is_colour(frame, canvas.NEXT_HALO)
        assert halo.sum() > 1000
        rows, columns = np.nonzero(halo)
        left, top, right, bottom = canvas.AREA
        assert left <= columns.min() <= columns.max() < right
        assert top <= rows.min() <= rows.max() < bottom
        frames[frame.tobytes()] = position
    assert len(frames) == count


def test_a_list_tells_what_was_chosen_and_what_is_none() -> None:
    one = Scene(MIXED, "cifar10", [2, 3, 1])
    assert [line.split() for line in text(one).splitlines()[1:]] == [
        ["depth", "2"],
        ["width", "64"],
        ["skip", "yes"],
    ]
    invalid = dataclasses.replace(one, choices=[0, 3, 1])
    foreign = dataclasses.replace(one, choices=[1, 1, 3])
    for scene in (invalid, foreign):
        assert "· invalid" in text(scene)
        assert is_colour(draw(scene), canvas.NEXT_INK).any()
    assert "skip   no such choice" in text(foreign)
    assert "invalid" not in text(one) + text(dataclasses.replace(one, choices=[0, 3, -1]))
    frames = [draw(scene) for scene in (one, invalid, foreign)]
    assert len({frame.tobytes() for frame in frames}) == 3


@pytest.mark.parametrize("place", ["nowhere:Drawing", "no place", "os:getcwd", 3, None])
def test_a_drawing_that_is_none_is_said(place: Any) -> None:
    class Wrong(Mixed):
        name = "wrong"
        drawing = place

    with pytest.raises(InvalidInput, match="the drawing of wrong") as caught:
        draw(Scene(Wrong(), "cifar10", [0, 0, 0]))
    assert "\n" not in str(caught.value)


class Dots(Drawing):
    """A pixel a decision."""

    def draw(self, canvas: Any, scene: Scene) -> None:
        for decision, choice in enumerate(scene.choices):
            canvas.point((100 + decision, 200 + choice), "#CC79A7")


def test_a_space_brings_a_drawing_of_its_own() -> None:
    class Dotted(Mixed):
        name = "dotted"
        drawing = f"{__name__}:Dots"

    frame = draw(Scene(Dotted(), "cifar10", [2, 3, 1]))
    drawn = np.argwhere(is_colour(frame, "#CC79A7")).tolist()
    assert sorted(drawn) == [[201, 102], [202, 100], [203, 101]]


# ── speed, and what is not imported ──────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ["NATS-TSS-cifar10-Budgeted-v0", "NATS-SSS-cifar10-Edit-v0"])
def test_a_frame_takes_milliseconds(env_id: str) -> None:
    env = gym.make(env_id, render_mode="rgb_array")
    env.action_space.seed(0)
    env.reset(seed=0)
    seconds = []
    for _ in range(40):
        if any(env.step(env.action_space.sample())[2:4]):
            env.reset()
        start = time.perf_counter()
        env.render()
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < 0.06  # benchmarks/rendering.py says what it is


def test_drawing_imports_neither_matplotlib_nor_pygame() -> None:
    code = (
        "import sys, gymnasium, nats_gym, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "env = gymnasium.make('NATS-TSS-cifar10-v0', render_mode='rgb_array')\n"
        "assert 'PIL' not in sys.modules\n"
        "env.reset(seed=0), env.render()\n"
        "assert not {'matplotlib', 'pygame', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ── window and video ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pygame(monkeypatch) -> Any:
    """Pygame with a display that only exists in memory."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    return pytest.importorskip("pygame")


def shown_by(pygame: Any) -> NDArray[np.uint8]:
    return np.asarray(pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1))


def test_the_window_shows_each_frame_and_closes_twice(pygame: Any) -> None:
    window = Window(fps=1000)
    for scene in (OPEN_CELL, BUDGETED):
        window.show(draw(scene))
        assert np.array_equal(shown_by(pygame), draw(scene))
    window.close()
    window.close()
    assert not pygame.display.get_init()
    window.show(draw(OPEN_CELL))  # closed: nothing opens again
    assert not pygame.display.get_init()


def test_the_window_keeps_to_its_frame_rate(pygame: Any) -> None:
    window = Window(fps=20)
    window.show(draw(OPEN_CELL))
    start = time.perf_counter()
    for _ in range(4):
        window.show(draw(OPEN_CELL))
    assert time.perf_counter() - start >= 4 * 0.045
    window.close()


def test_events_are_taken_and_the_close_button_closes(pygame: Any) -> None:
    window = Window(fps=1000)
    window.show(draw(OPEN_CELL))
    pygame.event.post(pygame.event.Event(pygame.USEREVENT))
    window.show(draw(OPEN_CELL))
    assert not pygame.event.peek(pygame.USEREVENT)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.show(draw(OPEN_CELL))
    assert not pygame.display.get_init()


def test_two_windows_do_not_harm_each_other(pygame: Any) -> None:
    one, other = Window(fps=1000), Window(fps=1000)
    one.show(draw(OPEN_CELL)), other.show(draw(BUDGETED))
    other.close()
    one.show(draw(OPEN_SIZE))
    assert np.array_equal(shown_by(pygame), draw(OPEN_SIZE))
    one.close()


def test_without_a_display_the_error_says_what_to_do(pygame: Any, monkeypatch) -> None:
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(gym.error.Error, match=r"needs a display.*'rgb_array'"):
        Window(fps=4).show(draw(OPEN_CELL))


@pytest.mark.parametrize("env_id", ["NATS-TSS-cifar10-v0", "NATS-SSS-cifar10-Edit-v0"])
def test_human_mode_shows_what_rgb_array_returns(pygame: Any, env_id: str, monkeypatch) -> None:
    human, array = (gym.make(env_id, render_mode=mode) for mode in ("human", "rgb_array"))
    monkeypatch.setitem(human.unwrapped.metadata, "render_fps", 1000)
    array.action_space.seed(0)
    human.reset(seed=0), array.reset(seed=0)
    for _ in range(3):
        assert np.array_equal(shown_by(pygame), array.render())
        action = array.action_space.sample()
        human.step(action), array.step(action)
    human.close()
    assert not pygame.display.get_init()


@pytest.mark.skipif(not importlib.util.find_spec("moviepy"), reason="moviepy writes the video")
@pytest.mark.filterwarnings("ignore:.*:SyntaxWarning", "ignore:.*:DeprecationWarning")
def test_record_video_writes_an_episode(tmp_path: Path) -> None:
    env = gym.make("NATS-TSS-cifar10-v0", render_mode="rgb_array")
    env = RecordVideo(
        env, str(tmp_path / "videos"), episode_trigger=lambda episode: True, disable_logger=True
    )
    env.reset(seed=0)
    for _ in range(6):
        env.step(3)
    env.close()
    (video,) = tmp_path.rglob("*.mp4")
    assert b"ftyp" in video.read_bytes()[:16]
    assert video.stat().st_size > 5_000


# ── nats-gym show --png ──────────────────────────────────────────────────────────────────────────


def show(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["nats-gym", "show", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out, printed.err


def test_show_draws_an_architecture(monkeypatch, capsys, tmp_path: Path) -> None:
    path = tmp_path / "new" / "cell.png"
    code, out, err = show(monkeypatch, capsys, "tss", "6111", "--png", str(path))
    assert (code, err) == (0, "")
    plain = show(monkeypatch, capsys, "tss", "6111")[1]
    assert out == plain + f"picture: {path}\n"
    string = (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
        "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    )
    mean = (91.684 + 91.72 + 91.416) / 3  # the three trials, as `show` prints them
    scene = Scene(
        CELL,
        "cifar10",
        [3, 3, 3, 1, 3, 2],
        accuracy=mean,
        provenance="measured",
        caption=string,
    )
    assert np.array_equal(np.array(Image.open(path)), draw(scene))
    assert [file.name for file in path.parent.iterdir()] == ["cell.png"]


def test_the_picture_is_of_the_dataset_that_was_asked_for(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "size.png"
    arguments = ("sss", "8:16:24:64:8", "--png", str(path), "--dataset", "ImageNet16-120")
    assert show(monkeypatch, capsys, *arguments)[0] == 0
    table = nats_gym.load_table("sss", "ImageNet16-120")
    scene = Scene(
        SIZE,
        "ImageNet16-120",
        [0, 1, 2, 7, 0],
        accuracy=table.mean_accuracy("valid", 90)[696],
        provenance="surrogate",
        caption="8:16:24:64:8",
    )
    assert np.array_equal(np.array(Image.open(path)), draw(scene))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--png cell.jpg", [".png", "cell.jpg"]),
        ("--png cell", [".png", "cell"]),
        ("--png folder.png", ["folder.png", "folder"]),
        ("--png file/cell.png", ["file"]),
        ("--png cell.png --dataset cifar-10", ["Did you mean 'cifar10'"]),
        ("--dataset cifar-10", ["Did you mean 'cifar10'"]),
        ("--png", ["--png"]),
    ],
)
def test_bad_picture_options_are_one_line(monkeypatch, capsys, tmp_path, options, words) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("in the way")
    code, out, err = show(monkeypatch, capsys, "tss", "0", *options.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_a_picture_that_fails_leaves_the_old_one(monkeypatch, capsys, tmp_path: Path) -> None:
    path = tmp_path / "cell.png"
    path.write_bytes(b"the old one")

    def full_disk(self: Image.Image, file: Any, *options: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(Image.Image, "save", full_disk)
    code, _, err = show(monkeypatch, capsys, "tss", "0", "--png", str(path))
    assert (code, err.count("\n")) == (2, 1)
    assert "No space left" in err
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("family", ["", "-OneShot", "-Edit", "-Budgeted"])
def test_nothing_is_rendered_before_an_episode(family: str) -> None:
    env = gym.make(f"NATS-SSS-cifar10{family}-v0", render_mode="ansi").unwrapped
    with pytest.raises(gym.error.ResetNeeded, match="before render"):
        env.render()
    env.reset(seed=0)
    assert env.render()
