"""The model in PyTorch, functional: modules would only add Python between the same calls."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from microgpt.arrays import Array
from microgpt.errors import MicrogptError
from microgpt.model.parameters import Parameters, Tensor, views
from microgpt.training.trainer import BETA1, EPS

from .problem import Problem
from .systems import AdamState, Program

Loss = Callable[[Parameters, torch.Tensor, torch.Tensor], torch.Tensor]
Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
State = Callable[[], AdamState]

IN_LAYERS = ("ln1_", "qkv_", "proj_", "ln2_", "up_", "down_")


def program(problem: Problem, threads: int, variant: str) -> Program:
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    # Adam's moments of rare characters become denormal numbers, which can be slow
    torch.set_flush_denormal(True)
    device = torch.device("cuda" if variant.startswith("cuda") else "cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        why = "this build of it is for CPUs" if torch.version.cuda is None else "its own driver check fails"
        raise MicrogptError(f"PyTorch finds no GPU: {why}")
    torch.set_float32_matmul_precision("high" if variant.endswith("tf32") else "highest")
    inputs, targets = (torch.from_numpy(values).to(device) for values in problem.batches("int64"))
    if variant.startswith("cuda-graph"):
        step, state = captured(problem, device, inputs[0], targets[0])
    else:
        step, state = (compiled if variant == "compile" else eager)(problem, device)
    done = 0

    def advance(n: int) -> Array:
        nonlocal done
        losses = []
        for i in range(done, done + n):
            losses.append(step(inputs[i % len(inputs)], targets[i % len(inputs)]))
        done += n
        return torch.stack(losses).cpu().numpy()

    return Program(advance, state)


def split(flat: torch.Tensor, tensors: list[Tensor]) -> Parameters:
    """Views of a flat buffer, one for each layer, since a step would have to split a tensor of all layers."""
    stacked = views(flat, tensors)._asdict()
    return Parameters(**{k: list(v) if k.startswith(IN_LAYERS) else v for k, v in stacked.items()})


def on_host(values: torch.Tensor) -> Array:
    """A copy as a NumPy array."""
    return values.detach().cpu().numpy().copy()


def joined(state: tuple[Any, ...]) -> State:
    """The parts of a state, each as one flat buffer."""
    return lambda: AdamState(
        *(on_host(torch.cat([leaf.reshape(-1) for leaf in leaves(part)])) for part in state[:3])
    )


def leaves(p: Any) -> list[torch.Tensor]:
    return [leaf for value in p for leaf in (value if isinstance(value, list) else [value])]


def loss_of(problem: Problem) -> Loss:
    L, H = problem.architecture.n_layers, problem.n_heads

    def loss(p: Parameters, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        B, T = inputs.shape
        C = p.tok.shape[1]
        x = (functional.embedding(inputs, p.tok) + p.pos).view(B * T, C)
        # in place wherever autograd does not need the old values
        for l in range(L):
            qkv = torch.addmm(p.qkv_b[l], functional.layer_norm(x, (C,), p.ln1_w[l], p.ln1_b[l]), p.qkv_w[l])
            q, k, v = qkv.view(B, T, 3, H, C // H).permute(2, 0, 3, 1, 4).unbind()
            heads = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = torch.addmm(p.proj_b[l], heads.transpose(1, 2).reshape(B * T, C), p.proj_w[l]).add_(x)
            hidden = torch.addmm(p.up_b[l], functional.layer_norm(x, (C,), p.ln2_w[l], p.ln2_b[l]), p.up_w[l])
            x = torch.addmm(p.down_b[l], hidden.relu_(), p.down_w[l]).add_(x)
        logits = torch.addmm(p.unembed_b, functional.layer_norm(x, (C,), p.lnf_w, p.lnf_b), p.unembed_w)
        return functional.cross_entropy(logits, targets.view(-1), ignore_index=-1)

    return loss


def eager(problem: Problem, device: torch.device) -> tuple[Step, State]:
    """autograd adds into views of one flat gradient: clipping and Adam see a single tensor."""
    config, loss = problem.config, loss_of(problem)
    flat = torch.from_numpy(problem.parameters()).to(device)
    flat.grad = torch.zeros_like(flat)
    p = split(flat, problem.tensors)
    for leaf, grad in zip(leaves(p), leaves(split(flat.grad, problem.tensors)), strict=True):
        leaf.requires_grad_().grad = grad
    adam = torch.optim.Adam([flat], lr=config.lr, betas=(BETA1, config.beta2), eps=EPS, fused=True)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        flat.grad.zero_()
        value = loss(p, inputs, targets)
        value.backward()
        flat.grad.mul_((config.clip / torch.linalg.vector_norm(flat.grad)).clamp_(max=1))
        adam.step()
        return value.detach()

    def state() -> AdamState:
        moments = adam.state[flat]
        return AdamState(*map(on_host, (flat, moments["exp_avg"], moments["exp_avg_sq"])))

    return step, state


def compiled(problem: Problem, device: torch.device) -> tuple[Step, State]:
    """One graph from the batch to the new parameters."""
    step, state = step_and_state(problem, device)
    return (lambda inputs, targets: step(*state, inputs, targets)), joined(state)


def captured(
    problem: Problem, device: torch.device, inputs: torch.Tensor, targets: torch.Tensor
) -> tuple[Step, State]:
    """The same as a CUDA graph, which reads its batch from one place and leaves its loss in another."""
    step, state = step_and_state(problem, device)
    place = inputs.clone(), targets.clone()
    tensors = [*(leaf for part in state[:3] for leaf in leaves(part)), state[3]]
    at_start = [tensor.clone() for tensor in tensors]
    # what is captured must have run before, on a stream of its own
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(*state, *place)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = step(*state, *place)
    for tensor, values in zip(tensors, at_start, strict=True):
        tensor.copy_(values)

    def replayed(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        place[0].copy_(inputs)
        place[1].copy_(targets)
        graph.replay()
        return value.clone()

    return replayed, joined(state)


def step_and_state(
    problem: Problem, device: torch.device
) -> tuple[Callable[..., torch.Tensor], tuple[Any, ...]]:
    """A compiled step(*state, inputs, targets), and the state: parameters, moments and a clock."""
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise MicrogptError("torch.compile needs a C++ compiler such as g++")
    torch._inductor.config.cpp_wrapper = (
        device.type == "cpu"
    )  # the kernels are called from C++, not from Python
    config, loss = problem.config, loss_of(problem)
    flat = torch.from_numpy(problem.parameters()).to(device)
    p, m, v = (
        split(values, problem.tensors) for values in (flat, torch.zeros_like(flat), torch.zeros_like(flat))
    )
    clock = torch.zeros((), device=device)

    def step(p, m, v, clock, inputs, targets):
        grads, value = torch.func.grad_and_value(loss)(p, inputs, targets)
        norm = torch.stack([(grad * grad).sum() for grad in leaves(grads)]).sum().sqrt()
        scale = (config.clip / norm).clamp(max=1)
        clock.add_(1)
        # 1 - beta**t, exact where the difference would cancel
        correction1, correction2 = (-torch.expm1(clock * math.log(beta)) for beta in (BETA1, config.beta2))
        for weight, first, second, grad in zip(*map(leaves, (p, m, v, grads)), strict=True):
            first.lerp_(grad * scale, 1 - BETA1)
            second.lerp_((grad * scale) ** 2, 1 - config.beta2)
            weight.sub_(config.lr * (first / correction1) / ((second / correction2).sqrt() + EPS))
        return value

    return torch.compile(step, fullgraph=True, dynamic=False), (p, m, v, clock)
