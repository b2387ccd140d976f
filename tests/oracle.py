"""The same model in PyTorch, written simply and independently, with autograd and torch.optim.Adam.

It shares nothing with the project but the names of the tensors, by which their values are copied.
"""

import torch
from torch import nn
from torch.nn import functional


def rotate(x, angles):
    """Columns (2j, 2j+1) of x (B, T, D) as complex numbers, rotated; an odd last column is not changed."""
    even = x.shape[-1] // 2 * 2
    turned = torch.complex(x[..., :even:2], x[..., 1:even:2]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([torch.stack([turned.real, turned.imag], dim=-1).flatten(-2), x[..., even:]], dim=-1)


def shifted(x):
    """x (B, T, C) with the first half of its columns moved on by one position."""
    half = x.shape[-1] // 2
    return torch.cat([functional.pad(x[:, :-1, :half], (0, 0, 1, 0)), x[..., half:]], dim=-1)


class Block(nn.Module):
    def __init__(self, d_model, d_ff, widths, rope, power, shift, scale):
        super().__init__()
        self.widths, self.rope, self.power, self.shift, self.scale = widths, rope, power, shift, scale
        self.ln1, self.ln2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.proj = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def attention(self, x):
        T, C = x.shape[1:]
        future = ~torch.ones(T, T).tril().bool()
        heads = []
        q_k_v = (part.split(self.widths, dim=-1) for part in self.qkv(x).split(C, dim=-1))
        for q, k, v in zip(*q_k_v, strict=True):
            D = q.shape[-1]
            if self.rope:
                positions = torch.arange(T, dtype=x.dtype)
                angles = torch.outer(positions, 10000.0 ** (-2 * torch.arange(D // 2, dtype=x.dtype) / D))
                q, k = rotate(q, angles), rotate(k, angles)
            scores = (q @ k.transpose(1, 2) * self.scale(D)).masked_fill(future, -torch.inf)
            heads.append(scores.softmax(dim=-1) @ v)
        return self.proj(torch.cat(heads, dim=-1))

    def forward(self, x):
        x = x + self.attention(self.shift(self.ln1(x)))
        return x + self.down(functional.relu(self.up(self.shift(self.ln2(x)))) ** self.power)


class Oracle(nn.Module):
    """`model` is an Architecture."""

    def __init__(self, model):
        super().__init__()
        C = model.d_model
        self.tok = nn.Embedding(model.vocabulary_size, C)
        self.pos = nn.Embedding(model.seq_len if model.positions == "learned" else 0, C)
        power = {"relu": 1, "relu2": 2}[model.activation]
        shift = shifted if model.token_shift else lambda x: x
        scale = {"sqrt": lambda D: D**-0.5, "linear": lambda D: 4 / D}[model.attention_scale]
        self.blocks = nn.ModuleList(
            Block(C, model.d_ff, widths, model.positions == "rope", power, shift, scale)
            for widths in model.heads
        )
        self.lnf, self.unembed = nn.LayerNorm(C), nn.Linear(C, model.vocabulary_size)
        self.double()

    def forward(self, inputs):
        x = self.tok(inputs)
        if self.pos.num_embeddings > 0:
            x = x + self.pos(torch.arange(inputs.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.lnf(x))

    def tensors(self):
        """Every parameter, and whether it is transposed, by the project's name and layer."""
        named = {("tok", None): self.tok.weight, ("pos", None): self.pos.weight}
        parts = [("lnf", None, self.lnf), ("unembed", None, self.unembed)]
        for l, block in enumerate(self.blocks):
            parts += [(name, l, part) for name, part in block.named_children()]
        for name, layer, part in parts:
            named[f"{name}_w", layer] = part.weight
            named[f"{name}_b", layer] = part.bias
        # nn.Linear keeps its matrices as (out, in)
        linear = ("qkv_w", "proj_w", "up_w", "down_w", "unembed_w")
        return {key: (tensor, key[0] in linear) for key, tensor in named.items()}

    def load(self, parameters):
        """Copy the values of the project's parameters."""
        assert {name for name, _ in self.tensors()} == set(parameters._fields)
        with torch.no_grad():
            for (name, layer), (tensor, transposed) in self.tensors().items():
                values = getattr(parameters, name)
                values = torch.tensor(values if layer is None else values[layer], dtype=torch.float64)
                assert (values.T if transposed else values).shape == tensor.shape, name
                tensor.copy_(values.T if transposed else values)

    def gradients(self):
        """By name and layer, in the project's layout."""
        return {
            key: (tensor.grad.T if transposed else tensor.grad).numpy().copy()
            for key, (tensor, transposed) in self.tensors().items()
            if tensor.grad is not None
        }


def train(oracle, batches, lr, clip):
    """The loss of each step; and of the first step the logits and the gradients, before they are clipped."""
    optimizer = torch.optim.Adam(oracle.parameters(), lr=lr, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, first = [], [], None
    for inputs, targets in batches:
        logits = oracle(torch.tensor(inputs, dtype=torch.int64))
        targets = torch.tensor(targets, dtype=torch.int64)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        first = first or (logits.detach().numpy().reshape(-1, logits.shape[-1]), oracle.gradients())
        grads = [parameter.grad for parameter in oracle.parameters() if parameter.grad is not None]
        norm = torch.sqrt(sum((grad**2).sum() for grad in grads))
        if clip and norm > clip:
            for grad in grads:
                grad *= clip / norm
        optimizer.step()
        losses.append(loss.item())
        norms.append(norm.item())
    return losses, norms, *first
