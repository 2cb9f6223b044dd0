"""The SLURM template is a script that bash can read and that names commands there are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rag_lightning.cli import parse
from rag_lightning.commands import COMMANDS

FOLDER = Path(__file__).parents[3] / "experiments" / "slurm"
SCRIPTS = ("login.sh", "experiment.sbatch")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_can_read_it(name: str) -> None:
    done = subprocess.run(["bash", "-n", str(FOLDER / name)], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_names_commands_and_keys_there_are(name: str) -> None:
    lines = re.findall(r"^rag-lightning (\S+) (.*?)(?: &)?$", (FOLDER / name).read_text(), re.MULTILINE)
    assert lines
    values = {'"$SCALE"': "paper", r'"[\"$NAME\"]"': '["nq_rag_sequence_paper"]', '"[$SEED]"': "[0]"}
    for stage, words in lines:
        assert stage in COMMANDS
        if "$CELL" not in words:
            assert parse(stage, [values.get(word, word) for word in words.split()]) is not None
        else:
            assert words == '--config "$CELL"'


def test_a_killed_job_is_put_into_the_queue_again() -> None:
    text = (FOLDER / "experiment.sbatch").read_text()
    for line in (
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@300",
        "trap again USR1",
        'scontrol requeue "$SLURM_JOB_ID"',
    ):
        assert line in text
    assert "export HF_HUB_OFFLINE=1" in text and "HF_HUB_OFFLINE" not in (FOLDER / "login.sh").read_text()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_signal_ends_the_work_and_requeues(tmp_path: Path) -> None:
    """The script as it stands, with stand-ins for the two commands it calls."""
    stand_in = tmp_path / ".venv" / "bin"
    stand_in.mkdir(parents=True)
    (stand_in / "activate").write_text(f'PATH="{stand_in}:$PATH"\n')
    work = "#!/usr/bin/env bash\ntrap 'echo ended >> log; exit 143' TERM\necho \"$@\" >> log\n"
    work += "sleep 0.5\nkill -USR1 $PPID\n"
    (stand_in / "rag-lightning").write_text(work + "for _ in {1..100}; do sleep 0.1; done\n")
    (stand_in / "scontrol").write_text('#!/usr/bin/env bash\necho "scontrol $@" >> log\n')
    for name in ("rag-lightning", "scontrol"):
        (stand_in / name).chmod(0o755)
    environment = {"NAME": "nq_rag_token", "SLURM_JOB_ID": "7", "PATH": "/usr/bin:/bin", "SCALE": "mini"}
    done = subprocess.run(
        ["bash", str(FOLDER / "experiment.sbatch")],
        env=environment,
        cwd=tmp_path,
        timeout=60,
        capture_output=True,
        check=False,
    )
    log = (tmp_path / "log").read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert log == ['matrix --scale mini --only ["nq_rag_token"] --seeds [0]', "ended", "scontrol requeue 7"]
