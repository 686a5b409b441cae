"""What is shown in a notebook: on its page, with bars, without the times of a log."""

import sys
import types
import warnings

import pytest

from cnn_jax.cli import progress


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel, as far as this process can tell; without ipywidgets."""
    shell = types.SimpleNamespace(kernel=object(), config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    for name in ("tqdm.auto", "tqdm.autonotebook"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("notebook")
def test_lines_are_no_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error stands on red in a notebook; and who watches needs no times."""
    progress.announce("compiling")
    assert capsys.readouterr() == ("compiling\n", "")


@pytest.mark.usefixtures("notebook")
def test_a_bar_moves_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without ipywidgets, too, and without tqdm's warning that they are missing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bar = progress.progress_bar(4, "training", "step")
    assert not caught
    assert not isinstance(bar, progress.Lines)
    with bar:
        bar.delay, bar.mininterval = 0, 0
        bar.update(3)
        bar.write("epoch 1/2", file=progress.stream())
    shown, errors = capsys.readouterr()
    assert not errors
    assert "training:  75%" in shown
    assert "\repoch 1/2\n" in shown
    assert not shown.rpartition("\r")[0].rpartition("\r")[2].strip(), "the bar is wiped out"


def test_a_log_is_no_notebook(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is IPython in a terminal, or IPython that was imported by something else."""
    assert isinstance(progress.progress_bar(4, "training", "step"), progress.Lines)
    for shell in (None, types.SimpleNamespace(config={})):
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda shell=shell: shell))
        progress.announce("compiling")
        shown, errors = capsys.readouterr()
        assert not shown
        assert errors.endswith("  compiling\n")
