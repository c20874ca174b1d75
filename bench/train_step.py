#!/usr/bin/python3
"""Training steps of Python PyTorch, timed: the peer of bench/train_step.cpp.

Reads commands from standard input, one a line: `MODEL TYPE LAYOUT STEPS` with MODEL resnet20 or resnet50, TYPE fp32 or
bf16, LAYOUT nchw or nhwc. Answers each with one JSON line of milliseconds per step: wall
clock, and processor time of all threads. A mode's model is made, and two steps
are run untimed, when it is first asked for.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Two 3x3 convolutions; where the size changes, the shortcut takes every other pixel and pads channels."""

    def __init__(self, width_in, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.pad = (width - width_in) // 2
        self.stride = stride

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1 or self.pad:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks = []
        width_in = 16
        for width, first_stride in ((16, 1), (32, 2), (64, 2)):
            for i in range(3):
                blocks.append(Block(width_in, width, first_stride if i == 0 else 1))
                width_in = width
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


def make(model):
    if model == "resnet20":
        return ResNet20(), (128, 3, 32, 32), 10
    import torchvision

    return torchvision.models.resnet50(), (16, 3, 224, 224), 1000


class Mode:
    def __init__(self, model, dtype, layout):
        torch.manual_seed(1)
        self.net, size, classes = make(model)
        self.x = torch.randn(size)
        self.labels = torch.randint(classes, (size[0],))
        if layout == "nhwc":
            self.net = self.net.to(memory_format=torch.channels_last)
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.bf16 = dtype == "bf16"
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
        for _ in range(2):
            self.step()

    def step(self):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            loss = F.cross_entropy(self.net(self.x), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    modes = {}
    for line in sys.stdin:
        model, dtype, layout, steps = line.split()
        key = (model, dtype, layout)
        if key not in modes:
            modes[key] = Mode(*key)
        wall, cpu = [], []
        for _ in range(int(steps)):
            start, start_cpu = time.perf_counter(), time.process_time()
            modes[key].step()
            wall.append(1000 * (time.perf_counter() - start))
            cpu.append(1000 * (time.process_time() - start_cpu))
        print(json.dumps({"version": torch.__version__, "threads": threads, "ms": wall, "cpu_ms": cpu}), flush=True)


if __name__ == "__main__":
    main()
