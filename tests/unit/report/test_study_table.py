"""The table, its words and the finding, on made-up records with known numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from droptime.records import EvalRow, read_study, write_manifest
from droptime.report.cells import columns, lines
from droptime.report.finding import finding
from droptime.report.table import StudyTable, study_table
from droptime.stats import mean_interval
from tests.synthetic_study import PAPER_ARMS, Effect, write_study

LOSS = {"none": 0.30, "standard": 0.36, "early": 0.26, "late": 0.30}
ACCURACY = {"none": 0.900, "standard": 0.885, "early": 0.912, "late": 0.901}


def _exact(row: EvalRow, arm: str, seed: int) -> EvalRow:
    """Round numbers: seeds shift both arms alike; late's difference changes sign with the seed."""
    wobble = (0.002 if arm == "late" else 0.0005) * (-1) ** seed
    return replace(
        row,
        train_loss=LOSS[arm] + 0.01 * seed + wobble * (arm != "none"),
        test_accuracy=ACCURACY[arm] - 0.01 * seed + wobble * (arm != "none"),
    )


def _table(path: Path) -> StudyTable:
    return study_table(read_study(path))


def test_every_number_is_the_records_own(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = read_study(tmp_path)
    table = study_table(study)
    assert [row.arm for row in table.rows] == list(PAPER_ARMS)
    early = table.rows[2]
    ours = {r.seed: r.summary.final for r in study.of_arm("early") if r.summary}
    none = {r.seed: r.summary.final for r in study.of_arm("none") if r.summary}
    assert early.train_loss.values == {s: f.train_loss for s, f in ours.items()}
    assert early.test_accuracy.estimate == mean_interval([f.test_accuracy for f in ours.values()])
    gaps = [ours[s].test_accuracy - none[s].test_accuracy for s in ours]
    assert early.accuracy_difference is not None
    assert early.accuracy_difference.estimate == mean_interval(gaps)
    assert list(early.accuracy_difference.values.values()) == gaps
    assert table.rows[0].loss_difference is None
    assert (table.planned, table.missing, table.baseline) == (20, 0, "none")


def test_the_words_of_the_table(tmp_path: Path) -> None:
    """Means, spreads and intervals were worked out by hand from ``_exact``'s numbers."""
    write_study(tmp_path, seeds=(0, 1, 2, 3), final=_exact)
    table = _table(tmp_path)
    assert columns(table) == (
        "arm",
        "runs",
        "final training loss",
        "test accuracy, %",
        "training loss minus none",
        "test accuracy minus none, points",
    )
    said = {line[0].main: line for line in lines(table)}
    assert [(c.main, c.spread, c.detail) for c in said["none"][1:]] == [
        ("4", "", ""),
        ("0.31500", "± 0.02054", ""),
        ("88.50", "± 2.05", ""),
        ("baseline", "", ""),
        ("baseline", "", ""),
    ]
    loss, accuracy = said["standard"][4:]
    assert (loss.main, loss.detail, loss.n, loss.decided) == (
        "+0.06000",
        "[+0.05908, +0.06092]",
        4,
        True,
    )
    assert (accuracy.main, accuracy.detail, accuracy.decided) == (
        "\N{MINUS SIGN}1.50",
        "[\N{MINUS SIGN}1.59, \N{MINUS SIGN}1.41]",
        True,
    )
    late = said["late"][5]
    assert (late.main, late.detail, late.decided) == ("+0.10", "[\N{MINUS SIGN}0.27, +0.47]", False)


def test_the_finding_names_what_the_intervals_show_and_no_more(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(0, 1, 2, 3), final=_exact)
    assert finding(_table(tmp_path)) == (
        "Over 4 paired seeds against none: test accuracy higher with early, lower with standard; "
        "final training loss higher with standard, lower with early."
    )


def _only_late_loss(row: EvalRow, arm: str, seed: int) -> EvalRow:
    """Differences scatter evenly about zero, but for late's loss."""
    wobble = 0.01 * (-1) ** seed if arm != "none" else 0.0
    loss = 0.3 + wobble + (0.2 if arm == "late" else 0.0)
    return replace(row, train_loss=loss, test_accuracy=0.9 + wobble)


def test_nothing_told_apart_is_said_so(tmp_path: Path) -> None:
    arms = {arm: PAPER_ARMS[arm] for arm in ("none", "standard", "early")}
    write_study(tmp_path, arms=arms, seeds=(0, 1, 2, 3), final=_only_late_loss)
    table = _table(tmp_path)
    cells = [c for row in table.compared for c in (row.loss_difference, row.accuracy_difference)]
    assert all(cell is not None and cell.sign == 0 for cell in cells)
    assert finding(table) == (
        "Over 4 paired seeds against none: no arm is told apart in test accuracy or in final "
        "training loss."
    )


def test_one_measure_alone_may_be_told_apart(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(0, 1, 2, 3), final=_only_late_loss)
    assert finding(_table(tmp_path)).endswith(
        ": no arm is told apart in test accuracy; final training loss higher with late."
    )


def test_an_unfinished_study_concludes_nothing(tmp_path: Path) -> None:
    write_study(
        tmp_path,
        effects={"early": Effect(0.1, -0.1)},
        finished=lambda arm, seed: not (arm == "early" and seed == 3),
        begun=lambda arm, seed: not (arm == "none" and seed == 4),
    )
    table = _table(tmp_path)
    assert finding(table).startswith("Unfinished: 2 of 20 runs are missing")
    early = {line[0].main: line for line in lines(table)}["early"]
    assert early[1].main == "4 of 5"
    assert early[5].n == 3  # seeds 0, 1, 2 have finished in both arms


def test_one_seed_has_values_and_no_interval(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(7,), final=_exact)
    table = _table(tmp_path)
    assert finding(table).startswith("One seed shows no spread")
    standard = lines(table)[1]
    assert (standard[3].main, standard[3].detail) == ("81.45", "no interval")
    assert (standard[5].detail, standard[5].n, standard[5].decided) == ("no interval", 1, False)


def test_a_run_that_diverged_is_named_and_spoils_only_its_own_cells(tmp_path: Path) -> None:
    def diverge(row: EvalRow, arm: str, seed: int) -> EvalRow:
        lost = (arm, seed) == ("early", 2)
        return replace(row, train_loss=math.nan) if lost else row

    write_study(tmp_path, final=diverge)
    table = _table(tmp_path)
    early = lines(table)[2]
    assert [row.diverged for row in table.rows] == [(), (), (2,), ()]
    assert (early[2].main, early[2].detail) == ("not finite", "seed 2")
    assert early[4].main == "not finite"
    assert early[5].n == 5
    assert finding(table).endswith(" Where runs of early are not finite there is no interval.")
    assert table.rows[1].train_loss.estimate is not None


@pytest.mark.parametrize("begun", [True, False])
def test_a_study_without_its_baseline_has_no_differences(tmp_path: Path, begun: bool) -> None:
    arms = {"early": {"dropout": "early(0.1, until=50%)"}}
    write_study(tmp_path, arms=arms, begun=lambda arm, seed: begun)
    table = _table(tmp_path)
    assert table.baseline is None
    assert len(columns(table)) == len(lines(table)[0]) == 4
    assert "nothing is concluded" in finding(table)


def test_another_arm_may_be_the_baseline(tmp_path: Path) -> None:
    write_study(tmp_path, final=_exact)
    write_manifest(tmp_path, replace(read_study(tmp_path).manifest, baseline="standard"))
    assert "against standard" in finding(_table(tmp_path))
