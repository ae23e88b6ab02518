"""``droptime plan``: what it prints at each width, its JSON, its exit status, its errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import droptime
from droptime.cli import main
from droptime.cli.naming import named_sites

CONVNEXT_80 = """\
timm:convnext_femto: 38 sites
path                                 kind       rate  sites

dropout drives 24 sites
stages.{0-3}.blocks.{0-5}.mlp.drop1  element       0     12
stages.{0-3}.blocks.{0-5}.mlp.drop2  element       0     12

drop_path drives 11 of 12 sites
stages.0.blocks.0.drop_path          drop_path     0      1
  closed: rate 0 at this depth, always
stages.{0-3}.blocks.{0-5}.drop_path  drop_path     0     11
  closed: to be opened

left alone: 2 sites
drop_rate                            head          0      1
  dead: a record of how the model was built: no forward reads it
head.drop                            head          0      1
  the classifier head; for rates={'head': ...}

stochastic depth laid: d * l/11 over 12 blocks
"""
SWIN_50 = """\
torchvision:swin_t: 60 sites

dropout drives 48 sites
features.{1,3,5,7}.{0-5}.attn
  attention, 12 sites, rate 0
features.{1,3,5,7}.{0-5}.attn
  element, 12 sites, rate 0
features.{1,3,5,7}.{0-5}.mlp.{2,4}
  element, 24 sites, rate 0

drop_path drives 11 of 12 sites
features.1.0.stochastic_depth
  drop_path, 1 site, rate 0; rate 0 at this depth,
  always
features.{1,3,5,7}.{0-5}.stochastic_depth
  drop_path, 11 sites, rate 0.0181818..0.2

stochastic depth kept: the built profile, d / 0.2
"""
BERT_120 = """\
hf:bert: 37 sites
path                                           kind       rate  sites

dropout drives 37 sites
embeddings.dropout                             element     0.1      1
encoder.layer.{0-11}.attention.self.dropout    attention   0.1     12
encoder.layer.{0-11}.attention.output.dropout  element     0.1     12
encoder.layer.{0-11}.output.dropout            element     0.1     12
"""
MODELS = [
    "timm:vit_tiny_patch16_224",
    "timm:convnext_femto",
    "torchvision:swin_t",
    "torchvision:vit_b_16",
    "hf:bert",
    "hf:wav2vec2",
]
OWN = """
import torch
from torch import nn

def tiny(p=0.1):
    return nn.Sequential(nn.Linear(2, 2), nn.Dropout(p))

def needs_numbers():
    return tiny(float(torch.linspace(0, 0.3, 2).sum()))

def broken():
    raise RuntimeError("no luck today")

def text():
    return "a"

ready = tiny(0.4)
number = 3
"""


class Command:
    """``droptime plan`` run in this process."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys

    def __call__(self, *arguments: str, width: int = 80) -> tuple[int, str, str]:
        """Run it; return the exit status, what it printed and its errors."""
        self._patch.setattr("sys.argv", ["droptime", "plan", *arguments])
        self._patch.setenv("COLUMNS", str(width))
        status = 0
        try:
            main()
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        printed, errors = self._capsys.readouterr()
        return status, "".join(f"{line.rstrip()}\n" for line in printed.splitlines()), errors

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run it with ``--json``."""
        status, printed, errors = self(*arguments, "--json")
        assert (status, errors) == (0, "")
        return dict(json.loads(printed))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of the user's own, gone again after the test."""
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_models", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("model", "width", "expected"),
    [
        ("timm:convnext_femto", 80, CONVNEXT_80),
        ("torchvision:swin_t", 50, SWIN_50),
        ("hf:bert", 120, BERT_120),
    ],
)
def test_what_is_printed(command: Command, model: str, width: int, expected: str) -> None:
    assert command(model, width=width) == (0, expected, "")


@pytest.mark.parametrize("width", [50, 80, 120])
@pytest.mark.parametrize("model", MODELS)
def test_no_line_is_longer_than_the_terminal(command: Command, model: str, width: int) -> None:
    status, printed, _ = command(model, width=width)
    assert status == 0
    assert max(map(len, printed.splitlines())) <= width
    assert len(printed.splitlines()) < 45


def test_a_path_longer_than_the_terminal_is_cut_at_a_dot(command: Command) -> None:
    _, printed, _ = command("hf:wav2vec2", width=50)
    assert "\nencoder.layers.{0-11}.feed_forward.\n  intermediate_dropout\n" in printed


def test_json_is_the_plan_of_the_same_model(command: Command) -> None:
    told = command.json("timm:convnext_femto", "--model-args", "drop_path_rate=0.1")
    with torch.device("meta"):
        plan = droptime.plan(timm.create_model("convnext_femto", drop_path_rate=0.1))
    assert told["rows"] == [
        {
            "path": row.site.path,
            "kind": row.site.kind,
            "attribute": row.site.attribute,
            "rate": row.site.rate,
            "state": row.site.state,
            "driver": row.driver,
            "factor": row.factor,
            "why": row.why,
        }
        for row in plan.rows
    ]
    assert told["profile"] == plan.profile == "kept: the built profile, d / 0.1"
    assert told["relative"] == {}
    assert told["totals"] == {
        "sites": 38,
        "driven": {"dropout": 24, "drop_path": 11},
        "states": {"dead": 1, "open": 36, "closed": 1},
    }


def test_only_what_is_asked_for_is_driven(command: Command) -> None:
    told = command.json("timm:convnext_femto", "--rates", "stages.0-1.*:element", "head")
    assert told["totals"]["driven"] == {"stages.0-1.*:element": 8, "head": 1}
    told = command.json("timm:convnext_femto", "--drop-path", "late(0.1, since=50%)")
    assert told["totals"]["driven"] == {"drop_path": 11}


def test_a_relative_curve_shows_its_shares(command: Command) -> None:
    told = command.json(
        "hf:bert",
        *("--model-args", "hidden_dropout_prob=0.4"),
        *("--dropout", "relative(early(0.2, until=20%))"),
    )
    assert told["relative"] == {"dropout": 0.4}
    assert {row["factor"] for row in told["rows"]} == {1.0, 0.1 / 0.4}


REFUSED = {
    "no such dropout": (
        ["timm:resnet18", "--dropout", "standard(0.1)"],
        "dropout= found no element or attention site",
    ),
    "no such selector": (
        ["hf:bert", "--rates", "elemnt"],
        "rates: 'elemnt' matches no site's kind or path. Did you mean 'element'?",
    ),
    "sealed": (
        ["timm:vit_tiny_patch16_224", "--rates", "patch"],
        "build the model with patch_drop_rate above 0",
    ),
    "dead": (["timm:convnext_femto", "--rates", "drop_rate"], "drop_rate is dead: a record"),
    "nothing left": (
        ["hf:bert", "--dropout", "standard(0.1)", "--rates", "element=standard(0.2)", "attention"],
        "dropout= is left nothing to drive",
    ),
    "relative to nothing": (
        ["timm:convnext_femto", "--drop-path", "relative(standard(0.1))"],
        "drop_path: the curve is relative to the rates the model was built with",
    ),
    "relative to what another takes": (
        [
            "hf:bert",
            *("--model-args", "hidden_dropout_prob=0.0"),
            *("--dropout", "relative(standard(0.1))", "--rates", "*.self.*=standard(0.1)"),
        ],
        "25 sites were built at 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_drive_nothing_ends_with_1(command: Command, case: str) -> None:
    arguments, problem = REFUSED[case]
    status, printed, errors = command(*arguments)
    assert status == 1
    assert printed.startswith(f"{arguments[0]}: ")
    assert errors.count("error: ") == 1
    assert problem in errors


def test_what_can_be_driven_is_shown_beside_what_cannot(command: Command) -> None:
    status, printed, errors = command(
        "timm:vit_tiny_patch16_224", "--rates", "patch", "attention", "blokcs.3.*"
    )
    assert status == 1
    assert "\nattention drives 12 sites\n" in printed
    assert errors.count("error: ") == 2


WRONG = {
    "no library": (["convnext_femto"], "Did you mean timm:convnext_femto?"),
    "unknown library": (["tim:convnext_femto"], "write timm:NAME, torchvision:NAME"),
    "timm": (["timm:convnext_femtoo"], "did you mean convnext_femto or"),
    "torchvision": (["torchvision:vit_b_17"], "did you mean vit_b_16 or"),
    "a hub name": (["hf:bert-base-uncased"], "nothing is downloaded here; fetch the configuration"),
    "a model type": (["hf:bertt"], "did you mean hf:bert or"),
    "a setting": (["hf:bert", "--model-args", "hidden_dropout=1"], "Did you mean hidden_dropout_"),
    "no settings": (["hf:encoder-decoder"], "cannot be built: ValueError"),
    "arguments": (["timm:resnet18", "--model-args", "nope=1"], "with {'nope': 1}: TypeError"),
    "weights": (["timm:resnet18", "--model-args", "pretrained=true"], "asks for weights"),
    "a pair": (["timm:resnet18", "--model-args", "depth"], "expected KEY=VALUE"),
    "a curve": (["timm:resnet18", "--dropout", "early(0.1, until=50)"], "   ^^"),
    "a rate's curve": (["timm:resnet18", "--rates", "head=0.1"], "expected '('"),
    "no curve": (["timm:resnet18", "--rates", "head="], "expected SELECTOR or SELECTOR=CURVE"),
    "twice": (["timm:resnet18", "--rates", "head", "head=standard(0)"], "head is given twice"),
    "a range": (["timm:resnet18", "--rates", "layer.5-1.*"], "'5-1' is not a range"),
    "overlap": (
        ["hf:bert", "--rates", "element", "encoder.*"],
        "matched by 'element' and by 'encoder.*'",
    ),
    "no factory": (["module:tiny"], "such as module:my_project.models.build"),
    "no module": (["module:nowhere.tiny"], "ModuleNotFoundError: No module named 'nowhere'"),
    "no such name": (["module:own_models.huge"], "has no attribute 'huge'"),
    "no function": (["module:own_models.number"], "of type int: expected a function"),
    "no model": (["module:own_models.text"], "of type str: expected a torch.nn.Module"),
    "an error": (["module:own_models:broken"], "cannot be built: RuntimeError: no luck today"),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_ends_with_2(command: Command, case: str) -> None:
    arguments, problem = WRONG[case]
    status, printed, errors = command(*arguments)
    assert (status, printed) == (2, "")
    assert errors.startswith("error: ")
    assert problem in errors


@pytest.mark.parametrize(
    ("library", "model", "extra"),
    [
        ("timm", "timm:resnet18", "train"),
        ("torchvision", "torchvision:resnet18", "train"),
        ("transformers", "hf:bert", "transformers"),
    ],
)
def test_a_missing_library_is_answered_with_the_install_command(
    command: Command, monkeypatch: pytest.MonkeyPatch, library: str, model: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    status, _, errors = command(model)
    assert status == 2
    assert f"pip install 'droptime[{extra}]'" in errors


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("model", "arguments", "rate"),
    [
        ("module:own_models.tiny", ["--model-args", "p=0.3"], 0.3),
        ("module:own_models:tiny", [], 0.1),
        ("module:own_models.ready", [], 0.4),
    ],
)
def test_a_factory_of_ones_own(
    command: Command, model: str, arguments: list[str], rate: float
) -> None:
    told = command.json(model, *arguments)
    assert [row["rate"] for row in told["rows"]] == [rate]
    assert str(Path.cwd()) not in sys.path


@pytest.mark.usefixtures("own")
def test_a_model_that_needs_numbers_is_built_on_the_cpu(command: Command) -> None:
    status, printed, errors = command("module:own_models.needs_numbers", "--json")
    assert status == 0
    assert json.loads(printed)["rows"][0]["rate"] == pytest.approx(0.3)
    assert errors.startswith("note: built on the CPU: on the meta device it failed with")


def test_a_local_configuration(command: Command, tmp_path: Path) -> None:
    text = {"model_type": "bert", "num_hidden_layers": 2, "hidden_dropout_prob": 0.2}
    (tmp_path / "config.json").write_text(json.dumps(text))
    for path in (tmp_path, tmp_path / "config.json"):
        told = command.json(f"hf:{path}", "--model-args", "attention_probs_dropout_prob=0.3")
        assert len(told["rows"]) == 7
        assert {row["rate"] for row in told["rows"]} == {0.2, 0.3}
    status, _, errors = command(f"hf:{tmp_path}", "--model-args", "hidden_dropout=0.3")
    assert status == 2
    assert "BertConfig has no setting 'hidden_dropout'. Did you mean hidden_dropout_prob" in errors


def test_torchvision_backbones_are_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", refuse)
    sites, on_cpu = named_sites("torchvision:fcn_resnet50", {})
    assert [site.kind for site in sites] == ["head"]
    assert on_cpu == ""


def test_it_is_among_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["droptime", "--help"])
    main()
    assert "  plan     show a model's dropout and what would drive it" in capsys.readouterr().out
