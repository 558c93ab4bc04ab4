"""node: control groups, GPUs, CVMFS and containers, read off files of such nodes and off this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilot.node import cgroup, containers, cvmfs, gpus

SMI = "0, GPU-aa, NVIDIA A100-SXM4-40GB, 40960\n1, GPU-bb, NVIDIA A100-SXM4-40GB, 40960\n"


def tree(root: Path, **files: str) -> Path:
    """Files of these names, with __ for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_nearest_limit_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    files = {
        "batch__memory.max": "8589934592\n",
        "batch__cpu.max": "max 100000\n",
        "batch__job__memory.max": "max\n",
        "batch__job__cpu.max": "250000 100000\n",
        "memory.max": "1073741824000\n",
    }
    tree(tmp_path, **files)
    assert cgroup.memory_mb(tmp_path, "0::/batch/job\n") == 8192
    assert cgroup.processors(tmp_path, "0::/batch/job\n") == 3
    assert cgroup.processors(tmp_path, "0::/batch\n") is None


def test_version_1_is_read_in_its_own_folders(tmp_path: Path) -> None:
    files = {
        "memory__pbs__21__memory.limit_in_bytes": "4294967296\n",
        "memory__memory.limit_in_bytes": "9223372036854771712\n",
        "cpu,cpuacct__pbs__21__cpu.cfs_quota_us": "150000\n",
        "cpu,cpuacct__pbs__21__cpu.cfs_period_us": "100000\n",
    }
    tree(tmp_path, **files)
    own = "5:memory:/pbs/21\n4:cpu,cpuacct:/pbs/21\n0::/\n"
    assert (cgroup.memory_mb(tmp_path, own), cgroup.processors(tmp_path, own)) == (4096, 2)


def test_a_container_sees_its_own_group_at_the_root(tmp_path: Path) -> None:
    tree(tmp_path, **{"memory.max": "1073741824\n"})
    assert cgroup.memory_mb(tmp_path, "0::/docker/abc\n") == 1024
    assert cgroup.memory_mb(tmp_path / "nowhere", "") is None


def test_gpus_are_read_as_nvidia_smi_tells_them() -> None:
    assert [(gpu["index"], gpu["name"], gpu["memory_mb"]) for gpu in gpus.parse(SMI)] == [
        (0, "NVIDIA A100-SXM4-40GB", 40960),
        (1, "NVIDIA A100-SXM4-40GB", 40960),
    ]
    assert gpus.parse("NVIDIA-SMI has failed because it could not communicate\n") == []


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, [0, 1]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-aa"}, [0]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-11-22"}, [0]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [0, 1]),
    ],
)
def test_gpus_that_are_hidden_are_not_offered(environment: dict[str, str], wanted: list[int]) -> None:
    assert [gpu["index"] for gpu in gpus.visible(gpus.parse(SMI), environment)] == wanted


def test_gpus_are_found_without_the_drivers_commands(tmp_path: Path) -> None:
    nvidia = tmp_path / "proc/driver/nvidia/gpus/0000:3b:00.0/information"
    nvidia.parent.mkdir(parents=True)
    nvidia.write_text("Model: \t\t Tesla V100-PCIE-32GB\nIRQ:   \t\t 60\nGPU UUID: \t GPU-cc\n")
    assert gpus.measure({}, tmp_path) == [{"index": 0, "uuid": "GPU-cc", "name": "Tesla V100-PCIE-32GB"}]


def test_amds_cards_are_those_that_compute(tmp_path: Path) -> None:
    nodes = "sys/class/kfd/kfd/topology/nodes"
    files: dict[str, Any] = {
        "dev/kfd": "",
        f"{nodes}/0/properties": "cpu_cores_count 64\nsimd_count 0\n",
        f"{nodes}/1/properties": "cpu_cores_count 0\nsimd_count 440\n",
        f"{nodes}/1/name": "aldebaran\n",
    }
    tree(tmp_path, **files)
    assert gpus.measure({}, tmp_path) == [{"index": 0, "uuid": "", "name": "aldebaran"}]
    assert gpus.measure({"ROCR_VISIBLE_DEVICES": ""}, tmp_path) == []


def test_a_repository_counts_when_it_can_be_read(tmp_path: Path) -> None:
    tree(tmp_path, **{"bes.ihep.ac.cn__setup.sh": "", "cvmfs-config.cern.ch__etc": ""})
    (tmp_path / "empty.cern.ch").mkdir()
    assert cvmfs.measure((), tmp_path) == ["bes.ihep.ac.cn"]
    assert cvmfs.measure(["bes.ihep.ac.cn", "../x", "none.cern.ch"], tmp_path) == ["bes.ihep.ac.cn"]


def test_runtimes_are_told_with_their_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("apptainer", "echo apptainer version 1.4.5"), ("podman", "exit 1"), ("unshare", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert containers.measure() == {"apptainer": "apptainer version 1.4.5", "podman": "unknown"}
