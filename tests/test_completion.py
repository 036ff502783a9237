"""What shells and man get: all commands, all flags, nothing that they would misread."""

import shutil
import subprocess

import pytest


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("npeg en", "encode enhance"),
        ("npeg encode --si", "--size"),
        ("npeg decode --stre", "--strength"),
        ("npeg bench --list", "--list --list-metrics"),
        ("npeg encode pho", ""),
    ],
)
def test_bash_completes_commands_and_flags(run, words, expected):
    script = run("completion", "bash").out
    asked = f"COMP_WORDS=({words}) COMP_CWORD={words.count(' ')}"
    line = f'{script}\n{asked}\n_npeg; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_the_other_shells_and_man_know_every_flag_too(run):
    fish, zsh, man = (run("completion", name).out for name in ("fish", "zsh", "man"))
    assert zsh.endswith(run("completion", "bash").out)
    assert "__fish_use_subcommand -a encode -d 'images to .npeg files'" in fish
    assert "'__fish_seen_subcommand_from encode' -s q -l quality -r -d " in fish
    assert r"\-q, \-\-quality 0..100" in man
    assert "NPEG_THREADS" in man
    for line in man.splitlines():
        assert line[:1] not in (".", "'") or line.split()[0] in (".TH", ".SH", ".TP", ".nf", ".fi")
