from __future__ import annotations

import pytest

from app.approvals import shell
from app.approvals.presets import MODES
from app.approvals.rules import Ground, Rule, Stance, decide

READING = (Stance(mode="plan", limits=MODES["plan"]), Stance("read-only"))
USUAL = [Rule("bash", f"{name} *", "allow") for name in ("cat", "ls", "echo", "[")]


@pytest.mark.parametrize(
    "line",
    [
        "[[ 'a[$(touch x)]' -eq 0 ]]",
        '[[ "a[\\$(touch x)]" -eq 0 ]]',
        "[[ $x -eq 1 || y -lt z ]] ; y=$(cat f)",
        "test -v 'a[$(touch x)]'",
        "[ -v 'a[$(touch x)]' ]",
        "[[ -v 'a[$(touch x)]' ]]",
        "[ -v $x ]",
        "a=$(cat f); b=$((a))",
        "x=$(cat f); ((x))",
        "for x in $(cat f); do ((x)); ls; done",
        "for x in *; do ((x)); ls; done",
        "for x in a b; do ((x)); ls; done",
        "for ((i=$(cat f);;)); do ls; done",
        "n=$(cat f); for ((i=0;i<n;i++)); do ls; done",
        "a[$(cat f)]=1",
        "x=$(cat f); a[x]=1",
        "x=$(cat f); a[$x]=1",
        "x=$(cat f); echo ${a[x]}",
        "x=$(cat f); echo ${a:x}",
        "x=$(cat f); echo ${a:1:x}",
        "x=$(cat f); echo $[x]",
        "x=$(cat f); cat <<E\n$((x))\nE",
        "a='b[$'; a+='(touch x)]'; b=$((a))",
        "while read -r n; do s=$((s+n)); done",
        "printf -v x %s y; ((x))",
        "\\read x; ((x))",
        "r''ead x; ((x))",
        "echo ${x:=$(cat f)}; ((x))",
        "f() { echo $(($1)); }; f x",
        "x=$(cat f; seq 1 | wc -l); ((x))",
        "x=$({ cat f; } | cat); ((x))",
        "((x = `cat f`))",
        "echo $((x=$(cat f)))",
        "(( $(cat f) ))",
        "x=y; y=$(cat f); echo $((x))",
        "declare -n r=x; r=$(cat f); ((x))",
        "eval 'x=$(cat f)'; ((x))",
        "x=$PWD; ((x))",
        "((_))",
        "x=`cat f`; ((x)); ls",
        "a=($(cat f)); ((a[0]))",
        "x=$(wc -l f); ((x))",
        "wc() { cat f; }; x=$(wc -l); ((x))",
        "if ((PWD)); then ls; fi",
    ],
)
def test_what_reckons_with_any_text_never_runs_unasked(line: str) -> None:
    given = {"command": line}
    assert "allow" not in {decide("bash", given, Ground("/p"), stance, ()).action for stance in READING}
    assert decide("bash", given, Ground("/p"), Stance("auto"), USUAL).action == "ask"


@pytest.mark.parametrize(
    "line",
    [
        "echo $((1 + 2))",
        "i=0; while ls; do i=$((i+1)); done",
        "i=0; ((i++)); ls",
        "for i in 1 2 3; do echo $((i*2)); done",
        "for i in {1..5}; do echo $((i*2)); done",
        "for i in $(seq 1 5); do echo $((i*2)); done",
        "for ((i=0;i<10;i++)); do echo $i; done",
        "n=$(wc -l < f); echo $((n+1))",
        "n=$(ls | wc -l); [[ $n -gt 3 ]] && ls",
        "[[ $? -eq 0 ]] && ls",
        "[[ -n $x ]] && ls",
        "[ -v x ] && ls",
        "a=(1 2 3); echo ${a[1]} ${a[@]} ${#a[@]} $(( ${#a[@]} - 1 ))",
        "a=(x y); for ((i=0;i<${#a[@]};i++)); do echo ${a[$i]}; done",
        "echo ${x:0:7} ${x:-y} ${x: -1} ${x%.py} ${x//a/b}",
        "s=$(date +%s); ls; e=$(date +%s); echo $((e-s))",
        "echo $((RANDOM % 5)) $#",
        "[ $x -eq 1 ] && ls",
        "x=$(cat f); echo $x $((1+1))",
        "while read -r l; do echo $l; done; echo $((1+2))",
    ],
)
def test_what_reckons_with_numbers_is_read_as_ever(line: str) -> None:
    assert not [piece for piece in shell.read(line) if isinstance(piece, shell.Unclear)]
    assert decide("bash", {"command": line}, Ground("/p"), Stance("auto"), ()).action == "allow"
