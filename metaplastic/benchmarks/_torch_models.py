"""The convolutional training steps written by hand in PyTorch, for comparison only.

LeNet and ResNet-20 (He et al. 2016) with feedback alignment (Lillicrap et al. 2016): the input
gradient of every layer goes through fixed random weights, cross-entropy, SGD with momentum 0.9.
Extra `bench`.
"""

import functools
from collections.abc import Callable
from typing import Any

from metaplastic._errors import require_extra

Step = Callable[[], None]
"""One training step on a fixed batch of 32 x 32 images."""


def lenet_step(channels: int, filters: tuple[int, int, int], batch: int) -> Step:
    """LeNet with these filters; see `metaplastic.models.lenet`."""
    return _step(functools.partial(_lenet, filters=filters), batch, channels)


def resnet20_step(batch: int, channels: int = 3) -> Step:
    """ResNet-20; see `metaplastic.models.resnet20`."""
    return _step(_resnet20, batch, channels)


def _step(network: Callable[[Any, int], Any], batch: int, channels: int) -> Step:
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    model = network(_layers(torch), channels)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = torch.randn(batch, channels, 32, 32)
    y = torch.randint(0, 10, (batch,))

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()

    return step


def _layers(torch: Any) -> Any:
    """Linear and convolution whose input gradient uses a feedback weight of their own."""
    nn, gradients = torch.nn, torch.nn.grad

    class FeedbackLinear(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, bias: Any, feedback: Any) -> Any:
            ctx.save_for_backward(x, feedback)
            return torch.addmm(bias, x, w.t())

        @staticmethod
        def backward(ctx: Any, *signals: Any) -> Any:
            (signal,) = signals
            x, feedback = ctx.saved_tensors
            back = signal @ feedback if ctx.needs_input_grad[0] else None
            return back, signal.t() @ x, signal.sum(0), None

    class FeedbackConvolution(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, bias: Any, feedback: Any, how: Any) -> Any:
            ctx.save_for_backward(x, w, feedback)
            ctx.how = how
            return nn.functional.conv2d(x, w, bias, **how)

        @staticmethod
        def backward(ctx: Any, *signals: Any) -> Any:
            (signal,) = signals
            x, w, feedback = ctx.saved_tensors
            back = None
            if ctx.needs_input_grad[0]:
                back = gradients.conv2d_input(x.shape, feedback, signal, **ctx.how)
            hebb = gradients.conv2d_weight(x, w.shape, signal, **ctx.how)
            bias = signal.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
            return back, hebb, bias, None, None

    class Linear(nn.Module):
        def __init__(self, fan_in: int, fan_out: int) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(fan_out, fan_in) / fan_in**0.5)
            self.bias = nn.Parameter(torch.zeros(fan_out))
            self.register_buffer("feedback", torch.randn_like(self.w) / fan_in**0.5)

        def forward(self, x: Any) -> Any:
            return FeedbackLinear.apply(x, self.w, self.bias, self.feedback)

    class Convolution(nn.Module):
        def __init__(
            self, c: int, o: int, k: int, stride: int = 1, padding: int = 0, bias: bool = True
        ) -> None:
            super().__init__()
            scale = (2 / (c * k * k)) ** 0.5
            self.w = nn.Parameter(torch.randn(o, c, k, k) * scale)
            self.bias = nn.Parameter(torch.zeros(o)) if bias else None
            self.register_buffer("feedback", torch.randn_like(self.w) * scale)
            self.how = {"stride": stride, "padding": padding}

        def forward(self, x: Any) -> Any:
            return FeedbackConvolution.apply(x, self.w, self.bias, self.feedback, self.how)

    class Kit:
        pass

    kit = Kit()
    kit.nn, kit.functional = nn, nn.functional  # pyright: ignore[reportAttributeAccessIssue]
    kit.linear, kit.convolution = Linear, Convolution  # pyright: ignore[reportAttributeAccessIssue]
    return kit


def _lenet(kit: Any, channels: int, filters: tuple[int, int, int]) -> Any:
    nn, (first, second, third) = kit.nn, filters
    return nn.Sequential(
        kit.convolution(channels, first, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        kit.convolution(first, second, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        kit.convolution(second, third, 5),
        nn.ReLU(),
        nn.Flatten(),
        kit.linear(third, 84),
        kit.linear(84, 10),
    )


def _resnet20(kit: Any, channels: int) -> Any:
    nn = kit.nn

    class Block(nn.Module):
        """Two 3 x 3 convolutions; the shortcut subsamples and pads channels with zeros."""

        def __init__(self, c: int, o: int, stride: int) -> None:
            super().__init__()
            self.first = kit.convolution(c, o, 3, stride, 1, bias=False)
            self.second = kit.convolution(o, o, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(o), nn.BatchNorm2d(o)
            self.stride, self.grow = stride, (o - c) // 2

        def forward(self, x: Any) -> Any:
            h = kit.functional.relu(self.norm1(self.first(x)))
            h = self.norm2(self.second(h))
            if self.stride > 1:
                x = x[:, :, :: self.stride, :: self.stride]
                x = kit.functional.pad(x, (0, 0, 0, 0, self.grow, self.grow))
            return kit.functional.relu(h + x)

    blocks, c = [], 16
    for o in (16, 32, 64):
        for index in range(3):
            blocks.append(Block(c, o, 2 if o > c and index == 0 else 1))
            c = o
    return nn.Sequential(
        kit.convolution(channels, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        kit.linear(64, 10),
    )
