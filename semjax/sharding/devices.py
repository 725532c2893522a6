"""Accelerators by name, as their makers describe them. Nothing here was measured."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Device:
    """One chip.

    tflops: peak bfloat16 TFLOP/s without sparsity. memory: GB. bandwidth: of that memory, GB/s. links: GB/s that a
    chip sends to others of its pod, all links together, one direction. ring: share of the links that one mesh axis
    can use: rings lie along one dimension of a torus, a switch gives all. near: chips joined by those links. cores:
    host CPU threads for each chip in the machines in which it is offered. source: where the numbers stand.
    """

    name: str
    tflops: float
    memory: float
    bandwidth: float
    links: float
    ring: float
    near: int
    cores: int
    source: str


_HOPPER = "https://www.nvidia.com/en-us/data-center"
_TPU = "https://docs.cloud.google.com/tpu/docs"

DEVICES = {
    device.name: device
    for device in (
        # 1600 Gbps of interconnect over 4 ports; an 8-chip host has 224 vCPUs.
        Device("v5e", 197, 16, 819, 200, 1 / 2, 256, 28, f"{_TPU}/v5e"),
        # 800 GB/s in both directions; a 4-chip VM has 180 vCPUs.
        Device("v6e", 918, 32, 1638, 400, 1 / 2, 256, 45, f"{_TPU}/v6e"),
        # 1200 GB/s in both directions, a torus of three dimensions; a 4-chip VM has 224 vCPUs.
        Device("v7x", 2307, 192, 7380, 600, 1 / 3, 9216, 56, f"{_TPU}/tpu7x"),
        # 1979 TFLOP/s with sparsity, 900 GB/s of NVLink in both directions; DGX: 8 chips, 112 cores, 224 threads.
        Device("H100", 989, 80, 3350, 450, 1.0, 8, 28, f"{_HOPPER}/h100/"),
        Device("H200", 989, 141, 4800, 450, 1.0, 8, 28, f"{_HOPPER}/h200/"),
    )
}
