"""The model in JAX, a step as one pure function."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from microgpt.arrays import Array
from microgpt.model.parameters import Parameters, views
from microgpt.training.trainer import BETA1, EPS, LOG_SLOTS

from .problem import Problem
from .systems import AdamState, Program

Step = Callable[[Any, Any], tuple[Any, jax.Array]]

LAYERNORM_EPS = 1e-5


def program(problem: Problem, threads: int, variant: str) -> Program:
    # with one core there is no other thread to do the work
    jax.config.update("jax_cpu_enable_async_dispatch", threads > 1)
    p = jax.tree.map(jnp.array, views(problem.parameters(), problem.tensors))
    state = (p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.int32(0))
    batches = tuple(map(jnp.array, problem.batches("int32")))
    return {"step": by_step, "loop": by_loop}[variant](step_of(problem), state, batches)


def by_step(step: Step, state: Any, batches: Any) -> Program:
    step = jax.jit(step, donate_argnums=0)

    def advance(n: int) -> Array:
        nonlocal state
        losses = []
        for _ in range(n):
            state, loss = step(state, batches)
            losses.append(loss)
        return np.array(jax.device_get(losses))

    return Program(advance, lambda: joined(state))


def by_loop(step: Step, state: Any, batches: Any) -> Program:
    @partial(jax.jit, donate_argnums=0)
    def steps(state, n, batches):
        def body(i, carried):
            state, log = carried
            state, loss = step(state, batches)
            return state, log.at[i].set(loss)

        return jax.lax.fori_loop(0, n, body, (state, jnp.zeros(LOG_SLOTS)))

    def advance(n: int) -> Array:
        nonlocal state
        parts = []
        for done in range(0, n, LOG_SLOTS):
            part = min(LOG_SLOTS, n - done)
            state, log = steps(state, part, batches)
            parts.append(np.asarray(log)[:part])
        return np.concatenate(parts)

    return Program(advance, lambda: joined(state))


def joined(state: Any) -> AdamState:
    """The parts of a state, each as one flat buffer on the host."""
    return AdamState(
        *(np.concatenate([np.ravel(values) for values in jax.device_get(part)]) for part in state[:3])
    )


def step_of(problem: Problem) -> Step:
    """step(state, batches) -> state, loss; the state is parameters, Adam's moments and the clock."""
    config, loss_and_grads = problem.config, jax.value_and_grad(loss_of(problem))

    def step(state: Any, batches: Any) -> tuple[Any, jax.Array]:
        p, m, v, clock = state
        loss, grads = loss_and_grads(p, *(values[clock % len(values)] for values in batches))
        norm = jnp.sqrt(sum(jnp.vdot(grad, grad) for grad in grads))
        grads = jax.tree.map(lambda grad: grad * jnp.minimum(1, config.clip / norm), grads)
        clock += 1
        # 1 - beta**t, exact where the difference would cancel
        correction1, correction2 = (-jnp.expm1(clock * math.log(beta)) for beta in (BETA1, config.beta2))
        m = jax.tree.map(lambda m, grad: BETA1 * m + (1 - BETA1) * grad, m, grads)
        v = jax.tree.map(lambda v, grad: config.beta2 * v + (1 - config.beta2) * grad**2, v, grads)
        p = jax.tree.map(
            lambda p, m, v: p - config.lr * (m / correction1) / (jnp.sqrt(v / correction2) + EPS), p, m, v
        )
        return (p, m, v, clock), loss

    return step


def layernorm(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    return weight * centred * jax.lax.rsqrt(variance + LAYERNORM_EPS) + bias


def loss_of(problem: Problem) -> Callable[..., jax.Array]:
    """The loss, computed on rows (N, C): with three-dimensional arrays large batches are far slower."""
    B, T, H = problem.config.batch_size, problem.architecture.seq_len, problem.n_heads

    def attention(qkv: jax.Array) -> jax.Array:
        C = qkv.shape[1] // 3
        # (3, B*H, T, D): the products are slower where B and H are two dimensions
        q, k, v = qkv.reshape(B, T, 3, H, -1).transpose(2, 0, 3, 1, 4).reshape(3, B * H, T, -1)
        scores = jnp.einsum("btd,bsd->bts", q, k) / math.sqrt(C // H)
        att = jax.nn.softmax(jnp.where(jnp.tri(T, dtype=bool), scores, -jnp.inf))
        heads = jnp.einsum("bts,bsd->btd", att, v)
        return heads.reshape(B, H, T, -1).transpose(0, 2, 1, 3).reshape(B * T, C)

    def loss(p: Parameters, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        x = p.tok[inputs.reshape(-1)] + jnp.tile(p.pos, (B, 1))
        for l in range(len(p.qkv_w)):
            qkv = layernorm(x, p.ln1_w[l], p.ln1_b[l]) @ p.qkv_w[l] + p.qkv_b[l]
            x = x + attention(qkv) @ p.proj_w[l] + p.proj_b[l]
            hidden = jax.nn.relu(layernorm(x, p.ln2_w[l], p.ln2_b[l]) @ p.up_w[l] + p.up_b[l])
            x = x + hidden @ p.down_w[l] + p.down_b[l]
        logits = jax.nn.log_softmax(layernorm(x, p.lnf_w, p.lnf_b) @ p.unembed_w + p.unembed_b)
        targets = targets.reshape(-1, 1)
        there = targets >= 0
        picked = jnp.take_along_axis(logits, jnp.where(there, targets, 0), axis=1)
        return -jnp.where(there, picked, 0).sum() / there.sum()

    return loss
