"""Our machine at ring 3 beside a real processor's, stored and, where it can be, measured again."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from virtlab.datasets import ring3_native
from virtlab.machine.probes import PROBES
from virtlab.machine.rings import ring_table

NATIVE = ring3_native().set_index("name")
UMIP = {"sgdt", "sidt", "sldt", "str", "smsw"}
# In Linux's table other selectors stand for the kernel's segments, and its own for programs.
SELECTORS = {"mov from cs"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", [probe.name for probe in PROBES])
def test_a_real_processor_does_at_ring_3_what_ours_does(name: str) -> None:
    ours, theirs = ring_table().outcomes[name, 3, 0], NATIVE.loc[name]
    if name in UMIP:
        # An i386 tells. A processor with UMIP does not: one more trap, and five lies fewer.
        assert ours.fault == ""
        assert theirs["fault"] == ("#GP by UMIP" if theirs["umip"] else "")
        return
    assert ours.fault.partition("(")[0] == theirs["fault"]
    if ours.fault:
        return
    if name == "int 0x80":  # there a kernel answers
        assert ours.after["ring"] == 0
        return
    if name not in SELECTORS:
        pair = ours.after["EAX"], theirs["eax"]
        assert pair[0] == pair[1] or pair == (0x10, 0x18)  # ring 0's data, here and in Linux
    assert ours.after["ESP"] == theirs["esp"]
    assert ours.after["IF"] == theirs["interrupt_flag"] == 1
    flags = ours.after["flags"]
    assert isinstance(flags, int)
    assert flags >> 6 & 1 == theirs["zero_flag"]


def test_the_rows_are_the_probes() -> None:
    assert list(NATIVE.index) == [probe.name for probe in PROBES]
    assert list(NATIVE["mnemonic"]) == [probe.mnemonic for probe in PROBES]


def test_measured_again(tmp_path: Path) -> None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("not Linux on x86")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "measure_ring3.py"), "--into", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        pytest.skip(f"this system does not let it: {done.stderr.strip()[-200:]}")
    again = pd.read_csv(tmp_path / "ring3_native.csv", keep_default_na=False).set_index("name")
    others = [probe.name for probe in PROBES if probe.name not in UMIP]
    assert again.loc[others, "fault"].tolist() == NATIVE.loc[others, "fault"].tolist()
