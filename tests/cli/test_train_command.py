"""`raddiag train` builds a command, plans memory, and refuses what cannot be followed."""

import pytest

from raddiag_hf.cli.main import main


def test_the_command_is_shown_and_not_run(capsys, tmp_path):
    overrides = ["data.dataset=cases", f"output={tmp_path / 'run'}"]
    assert main(["train", "pretrain", *overrides, "--num-processes", "8", "--show-command"]) == 0
    shown = capsys.readouterr().err
    assert "accelerate.commands.launch --config_file" in shown
    assert "ddp.yaml --num_processes 8 -m raddiag_hf.training.train pretrain" in shown
    assert not (tmp_path / "run").exists()


def test_a_plan_names_the_setting_that_fits(capsys):
    small = [
        "model.batch_norm=frozen",
        "model.config={resnet_depth: 10, resnet_width: 4, hidden_size: 32, image_size: 64,"
        " intermediate_size: 32}",
    ]
    assert main(["train", "pretrain", *small, "--plan", "--memory", "40MB"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "For 0.04 GB (--memory) with 15% to spare: training.bf16=true" in printed
    assert "model.config.encoder_chunk_size=" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: no such file, and not one of the recipes"),
        (["pretrain", "training.lr=1"], "there is no training.lr"),
        (["pretrain", "--memory", "12GB"], "--memory belongs to --plan"),
        (["pretrain", "--plan", "--memory", "12"], "expected a size such as 12GB"),
        (["pretrain", "--accelerate-config", "tpu"], "not one of ddp, deepspeed, fsdp2"),
    ],
)
def test_mistakes_are_answered_in_one_line_with_exit_code_2(capsys, arguments, message):
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
