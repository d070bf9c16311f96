"""The command line, as a user meets it: what is printed where, and the exit status."""

import functools
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import ended
from paths import MODELS
from rich.console import Console
from rich.text import Text
from writer import Op, T, model, network

import int8rt
from int8rt.tools import cli, litert, report

DIGITS = str(MODELS / "digits_conv_int8.tflite")
LABELS = str(MODELS / "labels.txt")

needs_litert = pytest.mark.needs("litert")


@pytest.fixture
def int8rt_(capsys):
    """Runs a command: (exit status, standard output, standard error)."""
    return functools.partial(ended, capsys)


@pytest.fixture
def good(int8rt_):
    """Runs a command that must succeed: its standard output."""

    def run(*args):
        status, out, err = int8rt_(*args)
        assert (status, [line for line in err.splitlines() if not line.startswith("compiling")]) == (0, [])
        return out

    return run


@pytest.fixture
def refused(int8rt_):
    """Runs a command that must fail: the one line that says why."""

    def run(*args):
        status, out, err = int8rt_(*args)
        assert (status, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err[len("error: ") :].rstrip("\n")

    return run


@pytest.fixture
def saved(tmp_path):
    """Writes a model to a file and gives its path."""

    def save(content, name="m.tflite"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return save


LONG = "a/very/long/name/that/no/terminal/of/eighty/columns/could/hold/" * 3


def sum_and_gap():
    """Two inputs a, b and two outputs, one with a long name, all int8 [1, 3]."""
    a, b, s, d = (T(np.int8, (1, 3), 0.5, 0, name=name) for name in ("a", "b", LONG, "file"))
    return network([Op("ADD", [a, b], [s]), Op("SUB", [a, b], [d])], [a, b], [s, d], tensors=[a, b, s, d])


def scores(*values):
    """One float input, and scores that do not depend on it: float32 [1, n]."""
    x, y = T(np.float32, (1, len(values)), name="x"), T(np.float32, (1, len(values)), name="scores")
    return model("MAXIMUM", [x, T(np.float32, (1, len(values)), data=[values])], [y])


# run


@pytest.mark.needs("pillow")
@pytest.mark.parametrize("form", ["int8", "uint8"])
@pytest.mark.parametrize("net", ["conv", "residual"])
@pytest.mark.parametrize(("digit", "word"), [("7", "seven"), ("0", "zero")])
def test_run_reads_a_digit(good, net, form, digit, word):
    path, picture = MODELS / f"digits_{net}_{form}.tflite", MODELS / "samples" / f"{word}.png"
    lines = good("run", path, "--input", picture, "--labels", LABELS).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(f"{digit}  ")
    assert "%" in lines[0]
    assert lines[0].endswith("██████")


def test_run_reads_a_whole_test_set(good, tmp_path):
    with np.load(MODELS / "samples" / "test.npz") as split:
        np.save(tmp_path / "x.npy", split["images"])
        truth = split["labels"]
    result = json.loads(good("run", DIGITS, "-i", tmp_path / "x.npy", "--labels", LABELS, "--top", "1", "--json"))
    read = np.array([item[0]["index"] for item in result["classes"]])
    assert (read == truth).mean() > 0.98
    assert result["outputs"][0]["shape"] == [360, 10]


def test_run_takes_random_data_by_its_seed(good):
    assert "random input, seed 0" in good("run", DIGITS)
    values = [json.loads(good("run", DIGITS, "--json", "--seed", s))["outputs"][0]["values"] for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_run_gives_what_the_model_gives(good, saved, tmp_path):
    path = saved(sum_and_gap())
    a, b = np.int8([[1, 2, 3]]), np.int8([[3, 2, 1]])
    np.savez(tmp_path / "x.npz", a=a, b=b)
    np.save(tmp_path / "b.npy", b)
    (tmp_path / "a.raw").write_bytes(a.tobytes())
    expected = [y.tolist() for y in int8rt.load(path)(a, b)]
    for given in (["-i", tmp_path / "x.npz"], ["-i", tmp_path / "a.raw", "-i", tmp_path / "b.npy"]):
        result = json.loads(good("run", path, *given, "--json"))
        assert [y["values"] for y in result["outputs"]] == expected
        assert [y["name"] for y in result["outputs"]] == [LONG, "file"]
        text = good("run", path, *given)
        assert f"{LONG}  int8[1, 3]  = 0.5 * q\n  [[4 4 4]]\n  [[2. 2. 2.]]\n" in text


def test_run_writes_every_output_under_its_name(good, saved, tmp_path):
    path = saved(sum_and_gap())
    good("run", path, "--output", tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as written:
        assert {name: written[name].dtype for name in written.files} == {LONG: np.int8, "file": np.int8}
    good("run", DIGITS, "--output", tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy").shape == (1, 10)


def test_run_times_runs(good):
    assert good("run", DIGITS, "--repeat", "20").splitlines()[-1].startswith("20 runs: min ")
    times = json.loads(good("run", DIGITS, "--repeat", "20", "--json"))["times"]
    assert times["runs"] == 20
    assert 0 < times["min"] <= times["median"] <= times["p90"]


def test_run_with_threads(good):
    one, two = (good("run", DIGITS, "--json", "--threads", n) for n in (1, 2))
    assert one == two


def test_run_with_weights_dequantized_on_the_fly(good, refused):
    hybrid = str(MODELS / "digits_conv_dynamic_range.tflite")
    one, two = (good("run", hybrid, "--json", "--hybrid", mode) for mode in ("dynamic", "weight_only"))
    assert one != two
    assert refused("run", hybrid, "--hybrid", "float") == "hybrid is 'float'; known are dynamic, weight_only"


def test_scores_that_are_no_probabilities_have_no_bars(good, saved, tmp_path):
    path = saved(scores(-2.5, 1000, 0.25))
    np.save(tmp_path / "x.npy", np.full((2, 3), -1e9, np.float32))
    (tmp_path / "labels.txt").write_text("cat\n[bold]dog\nlama, a long name of a class\n\n", encoding="utf-8")
    given = "run", path, "-i", tmp_path / "x.npy", "--labels", tmp_path / "labels.txt"
    item = [
        "[bold]dog                           1000",
        "lama, a long name of a class        0.25",
        "cat                                 -2.5",
    ]
    assert good(*given, "--top", "99").splitlines() == ["item 0", *item, "item 1", *item]
    assert len(good(*given, "--top", "2").splitlines()) == 6


def test_values_that_json_lacks_are_strings(good, saved, tmp_path):
    path = saved(scores(-np.inf, 0, 0))
    np.save(tmp_path / "x.npy", np.float32([[-np.inf, np.inf, 1]]))
    assert json.loads(good("run", path, "-i", tmp_path / "x.npy", "--json"))["outputs"][0]["values"] == [
        ["-inf", "inf", 1.0]
    ]


def test_range_says_what_bytes_stand_for(good, saved, tmp_path):
    path = saved(scores(-9, -9, -9))
    np.save(tmp_path / "x.npy", np.uint8([[0, 255, 51]]))
    given = "run", path, "-i", tmp_path / "x.npy", "--json"
    assert json.loads(good(*given))["outputs"][0]["values"] == [[0, 255, 51]]
    values = json.loads(good(*given, "--range", "-1,1"))["outputs"][0]["values"]
    np.testing.assert_allclose(values, [[-1, 1, -0.6]], rtol=1e-6)


# info


def test_info(good):
    text = good("info", DIGITS)
    assert "22,928 bytes" in text
    assert "input   serving_default_image:0\n        int8[1, 8, 8, 1]  = 1 * (q + 128)" in text
    assert "serving_default(image) -> output_0" in text
    assert "  CONV_2D                3      3  int8, int8, int32 -> int8\n" in text
    assert "the least possible" in text


def test_info_json(good):
    result = json.loads(good("info", DIGITS, "--json"))
    assert result["inputs"] == [
        {"name": "serving_default_image:0", "shape": [1, 8, 8, 1], "type": "int8", "scale": 1.0, "zero_point": -128}
    ]
    assert result["operators"][0] == {
        "op": "CONV_2D", "version": 3, "inputs": "int8, int8, int32", "outputs": "int8", "nodes": 3, "supported": True
    }  # fmt: skip
    assert result["signatures"] == [{"key": "serving_default", "inputs": ["image"], "outputs": ["output_0"]}]
    assert result["memory"]["lower_bound"] <= result["memory"]["arena"] <= result["memory"]["tensors"]
    assert "blocks" not in result["memory"]


def test_memory_is_planned_as_it_is_told(good):
    memory = json.loads(good("info", "--memory", DIGITS, "--json"))["memory"]
    blocks = memory["blocks"]
    assert max(b["offset"] + b["bytes"] for b in blocks) <= memory["arena"]
    for i, b in enumerate(blocks):
        for c in blocks[:i]:
            if b["first"] <= c["last"] and c["first"] <= b["last"]:
                assert b["offset"] >= c["offset"] + c["bytes"] or c["offset"] >= b["offset"] + b["bytes"]
    assert {b["tensor"] for b in blocks} >= {"serving_default_image:0"}
    assert any(b["shared_with"] for b in blocks)  # RESHAPE moves nothing


def test_memory_picture(good):
    lines = good("info", "--memory", DIGITS).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  step  node and kernel"))
    picture = lines[start + 1 : lines.index("", start)]
    assert [int(line[:6]) for line in picture] == list(range(len(picture)))
    assert all(len(line) <= 80 for line in lines[start : lines.index("", start)])
    assert all(set(line[-report.CELLS :]) <= set(report.KEYS + "·") for line in picture)


def test_info_names_what_is_not_supported(good, saved):
    x, h, y = (T(np.float32, (1, 4)) for _ in range(3))
    path = saved(network([Op("MULTINOMIAL", [x], [h], None), Op("CUSTOM", [h], [y], custom_code="Mine")], [x], [y]))
    text = good("info", path, "--memory")
    assert "  MULTINOMIAL        1      1  float32 -> float32  not supported" in text
    assert "cannot run: the model needs operators that int8rt does not have: MULTINOMIAL version 1" in text
    result = json.loads(good("info", path, "--json"))
    assert "Mine version 1 (float32): 1 node" in result["unsupported"]
    assert "memory" not in result


# compare


@needs_litert
def test_compare_equal(good):
    assert good("compare", DIGITS).startswith("equal: every byte of 9 tensors, 3 runs, LiteRT 2.3.0 reference")
    result = json.loads(good("compare", DIGITS, "--json", "--runs", "1", "--threads", "2"))
    assert (result["equal"], result["tensors"], result["differences"]) == (True, 9, [])


@needs_litert
@pytest.mark.needs("pillow")
def test_compare_given_input(good):
    assert "1 run," in good("compare", DIGITS, "--input", MODELS / "samples" / "seven.png")


@needs_litert
def test_compare_different(int8rt_, monkeypatch, saved):
    honest = litert.run

    def run(*args, **options):
        return {i: a + np.int8(1) if i == 3 else a for i, a in honest(*args, **options).items()}

    monkeypatch.setattr(litert, "run", run)
    status, out, err = int8rt_("compare", saved(sum_and_gap()), "--runs", "1")
    assert (status, err) == (1, "")
    assert out.startswith(
        "different: 2 tensors, 1 run, LiteRT 2.3.0 reference\nfirst: SUB (node 1), tensor 'file': 3 of 3"
    )
    assert "differences arose at 1 node and spread to 0 tensors behind it:" in out
    status, out, _ = int8rt_("compare", saved(sum_and_gap()), "--json")
    assert (status, json.loads(out)["differences"][0]["op"]) == (1, "SUB")


def test_compare_where_litert_is_missing(refused, monkeypatch):
    def run(*args, **options):
        raise litert.LiteRTMissing("LiteRT is not installed (no module): pip install int8rt[compare]")

    monkeypatch.setattr(litert, "run", run)
    assert "pip install int8rt[compare]" in refused("compare", DIGITS)


# bench


def test_bench(good):
    assert good("bench", DIGITS, "--seconds", "0.01").count("\n") == 1
    text = good("bench", DIGITS, "--seconds", "0.01", "--profile")
    assert "CONV_2D (node 0) " in text
    assert "  operator" in text
    result = json.loads(good("bench", DIGITS, "--seconds", "0.01", "--profile", "--json", "--threads", "2"))
    assert result["times"]["runs"] >= 10
    assert result["threads"] == 2
    assert {"op", "node", "kernel", "seconds", "work"} == set(result["nodes"][0])


# Help and errors


def test_version_and_help(good):
    assert good("--version") == f"int8rt {int8rt.__version__}\n"
    for command in ("run", "info", "compare", "bench"):
        for flag in ("-h", "--help"):
            text = good(command, flag)
            assert f"int8rt {command} model.tflite" in text
            assert "Examples:" in text
            assert "--json" in text
            assert max(map(len, text.splitlines())) <= 80


def test_no_command_prints_help(int8rt_):
    status, out, err = int8rt_()
    assert (status, err) == (2, "")
    assert "compare" in out


@pytest.mark.parametrize("command", ["run", "info", "compare", "bench"])
def test_files_that_are_no_models(refused, saved, tmp_path, command):
    missing = tmp_path / "missing.tflite"
    assert refused(command, missing) == f"{missing}: no such file or directory"
    assert refused(command, tmp_path) == f"{tmp_path}: is a directory"
    assert refused(command, saved(b"")).endswith("is empty, expected a .tflite file")
    path = saved(b"# A text [bold]file[/] of some length")
    assert refused(command, path).startswith(f"{path}: not a .tflite file")
    path = saved(Path(DIGITS).read_bytes()[:5000])
    assert refused(command, path).startswith(f"{path}: ")


@pytest.mark.parametrize("command", ["run", "compare", "bench"])
def test_operators_that_are_missing(refused, saved, command):
    x, h, y = (T(np.float32, (1, 4)) for _ in range(3))
    path = saved(network([Op("MULTINOMIAL", [x], [h], None), Op("MULTINOMIAL", [h], [y], None)], [x], [y]))
    assert refused(command, path) == (
        f"{path}: the model needs operators that int8rt does not have: MULTINOMIAL version 1 (float32): 2 nodes"
    )


def test_inputs_that_do_not_fit(refused, saved, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 7), np.int8))
    assert refused("run", DIGITS, "-i", tmp_path / "x.npy").startswith(
        "input 'serving_default_image:0' has shape [1, 7], expected [1, 8, 8, 1]"
    )
    assert "1 input files given, the model has 2 inputs" in refused(
        "run", saved(sum_and_gap()), "-i", tmp_path / "x.npy"
    )
    missing = tmp_path / "missing.npy"
    assert refused("run", DIGITS, "-i", missing) == f"{missing}: no such file or directory"
    assert (
        refused("run", DIGITS, "-i", tmp_path / "x.npy", "--range", "1")
        == "--range is '1', expected two numbers such as -1,1"
    )


def test_labels_that_do_not_fit(refused, tmp_path):
    (tmp_path / "few.txt").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    assert refused("run", DIGITS, "--labels", tmp_path / "few.txt") == "2 labels given, the model has 10 classes"
    assert "is not text in UTF-8" in refused("run", DIGITS, "--labels", tmp_path / "bytes.txt")


def test_outputs_that_cannot_be_written(refused, saved, tmp_path):
    assert refused("run", DIGITS, "-o", tmp_path / "no" / "y.npz").endswith("no such file or directory")
    assert "can hold one array" in refused("run", saved(sum_and_gap()), "-o", tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("run",), "Missing argument"),
        (("nonsense",), "nonsense"),
        (("run", DIGITS, "--top", "0"), "--top"),
        (("bench", DIGITS, "--threads", "65"), "--threads"),
        (("info", DIGITS, "--nonsense"), "--nonsense"),
        (("compare", DIGITS, "--resolver", "fastest"), "known are reference, builtin, xnnpack"),
    ],
)
def test_arguments_that_are_wrong(refused, args, message):
    assert message in refused(*args)


# Progress, pipes and terminals


def test_progress_is_one_line_where_nobody_watches(capsys):
    with cli._progress() as progress:
        for done in range(3):
            progress("dot", done, 2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "compiling 2 kernels, which are kept for later runs\n")


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(cli, "_console", lambda stderr=False: Console(file=screen, force_terminal=True, width=80))
    with cli._progress():
        pass
    assert screen.getvalue() == ""
    with cli._progress() as progress:
        progress("dot", 0, 2)
        progress("dot", 1, 2)
    assert "compiling dot" in Text.from_ansi(screen.getvalue()).plain


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("args", [("info", "--memory"), ("run",), ("bench", "--profile", "--seconds", "0")])
def test_lines_fit_a_terminal(monkeypatch, saved, width, args):
    screen = io.StringIO()
    monkeypatch.setattr(cli, "_console", lambda stderr=False: Console(file=screen, force_terminal=True, width=width))
    with pytest.raises(SystemExit):
        cli.main([args[0], str(saved(sum_and_gap())), *args[1:]])
    lines = Text.from_ansi(screen.getvalue()).plain.splitlines()
    assert max(map(len, lines)) <= max(width, 80)


def test_types_wrap_on_a_terminal_and_not_in_a_pipe(monkeypatch, good):
    piped = good("ops", "CONV_2D", "ADD")
    assert all(line == line.rstrip() for line in piped.splitlines())
    screen = io.StringIO()
    monkeypatch.setattr(cli, "_console", lambda stderr=False: Console(file=screen, force_terminal=True, width=60))
    with pytest.raises(SystemExit):
        cli.main(["ops", "CONV_2D", "ADD"])
    shown = Text.from_ansi(screen.getvalue()).plain
    assert len(shown.splitlines()) > len(piped.splitlines()) + 4
    assert shown.split() == piped.split()


def test_json_is_printed_without_rich(python):
    code = "import sys; sys.modules['rich'] = None; from int8rt.tools.cli import main; main(sys.argv[1:])"
    assert json.loads(python(code, "info", DIGITS, "--json"))["bytes"] == 22928


def test_long_names_are_whole_in_a_pipe(good, saved):
    path = saved(sum_and_gap())
    for args in (("run",), ("info", "--memory")):
        assert LONG in good(args[0], path, *args[1:])


def test_a_pipe_whose_reader_has_gone(saved):
    code = "from int8rt.tools.cli import main; main()"
    command = [sys.executable, "-c", code, "info", "--memory", "--json", DIGITS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_shortened_names_keep_both_ends():
    assert report.shortened("abcdef", 6) == "abcdef"
    assert report.shortened("abcdefghij", 7) == "ab…ghij"
    assert [report.duration(s) for s in (2.5, 0.0125, 3.21e-5)] == ["2.500 s", "12.500 ms", "32.1 µs"]
    assert [report.nbytes(n) for n in (12, 3136, 28096, 12_345_678)] == ["12 bytes", "3.1 KB", "28.1 KB", "12.3 MB"]


def test_the_package_is_the_command(python):
    code = "import runpy, sys; sys.argv[1:] = ['--version']; runpy.run_module('int8rt', run_name='__main__')"
    assert int8rt.__version__ in python(code)
