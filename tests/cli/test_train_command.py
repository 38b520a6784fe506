"""`raddiag train` builds a command, plans memory, and refuses what cannot be followed."""

import subprocess

import pytest

from raddiag_hf.cli.main import main
from raddiag_hf.training import train
from tests.fixtures.finetuning import write_visible_store
from tests.fixtures.saved_models import save_tiny_model


def test_the_command_is_shown_and_not_run(capsys, tmp_path):
    overrides = ["data.dataset=cases", f"output={tmp_path / 'run'}"]
    assert main(["train", "pretrain", *overrides, "--num-processes", "8", "--show-command"]) == 0
    shown = capsys.readouterr().err
    assert "accelerate.commands.launch --config_file" in shown
    assert "ddp.yaml --num_processes 8 -m raddiag_hf.training.train pretrain" in shown
    assert not (tmp_path / "run").exists()


def test_several_processes_are_started_on_cpus_where_there_are_no_gpus(monkeypatch):
    started = []

    def run(command, *, check, env):
        started.append(env.get("ACCELERATE_USE_CPU"))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("raddiag_hf.cli.train.subprocess.run", run)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    assert main(["train", "phantoms", "--num-processes", "2"]) == 0
    assert main(["train", "phantoms"]) == 0
    assert started == ["true", None]


def test_bars_of_data_sets_are_for_terminals(monkeypatch):
    started = []

    def run(command, *, check, env):
        started.append(env.get("HF_DATASETS_DISABLE_PROGRESS_BARS"))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("raddiag_hf.cli.train.subprocess.run", run)
    monkeypatch.delenv("HF_DATASETS_DISABLE_PROGRESS_BARS", raising=False)
    assert main(["train", "phantoms"]) == 0
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "0")
    assert main(["train", "phantoms"]) == 0
    assert started == ["1", "0"]


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


def test_a_plan_tells_the_time_on_a_device_and_on_this_machine(capsys, tmp_path):
    small = "model.config={resnet_depth: 10, resnet_width: 4, hidden_size: 32, image_size: 32,"
    small += " max_slices: 4, intermediate_size: 32}"
    arguments = ["train", "pretrain", small, "--plan"]
    assert main([*arguments, "--device", "NVIDIA H100", "--num-processes", "8"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "29,536 cases as in RP3D-DiagDS" in printed
    assert "on 8 devices" in printed
    assert "estimated for one NVIDIA H100 80 GB" in printed
    write_visible_store(tmp_path / "cases", train=20, validation=10, test=0)
    assert main([*arguments, f"data.dataset={tmp_path / 'cases'}"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "measured on" in printed
    assert "training.dataloader_num_workers=" in printed


def test_an_adapted_model_gets_its_card(tmp_path, monkeypatch):
    def run_here(command, **_):
        arguments = command[command.index("raddiag_hf.training.train") + 1 :]
        return subprocess.CompletedProcess(command, train.main(arguments))

    monkeypatch.setattr("raddiag_hf.cli.train.subprocess.run", run_here)
    base = save_tiny_model(tmp_path / "base")
    write_visible_store(tmp_path / "cases", train=20, validation=10, test=0)
    changes = [
        f"model.checkpoint={base}",
        f"data.dataset={tmp_path / 'cases'}",
        f"output={tmp_path / 'out'}",
        "finetune.num_workers=0",
        "finetune.device=cpu",
    ]
    assert main(["train", "linear_probe", *changes]) == 0
    assert "a linear probe" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: no such file, and not one of the recipes"),
        (["pretrain", "training.lr=1"], "there is no training.lr"),
        (["pretrain", "--memory", "12GB"], "--memory belongs to --plan"),
        (["pretrain", "--device", "h100"], "--device belongs to --plan"),
        (["pretrain", "--plan", "--device", "abacus"], "nothing is known of 'abacus'"),
        (["pretrain", "--plan", "--memory", "12"], "expected a size such as 12GB"),
        (["lora", "--plan"], "--plan is for trainings"),
        (["lora", "--num-processes", "2"], "a fine-tuning runs in one process"),
        (["pretrain", "--accelerate-config", "tpu"], "not one of ddp, deepspeed, fsdp2"),
    ],
)
def test_mistakes_are_answered_in_one_line_with_exit_code_2(capsys, arguments, message):
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_ctrl_c_leaves_no_traceback_and_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    def run(command, *, check, env):
        code = train.main([command[-3], "--overrides", command[-1]])
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(train, "train_recipe", interrupt)
    monkeypatch.setattr("raddiag_hf.cli.train.subprocess.run", run)
    assert main(["train", "phantoms", f"output={tmp_path / 'run'}"]) == 130
    said = capsys.readouterr().err
    assert said.endswith("raddiag: interrupted; the same command goes on where it stopped\n")
