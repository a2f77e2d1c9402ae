"""Trains the networks of `training-pace` in PyTorch on the same device: a JSON line a case.

    python3 training_pace.py OURS.jsonl --precision f32 --seconds 8 [--compile] [--device cpu --threads 2]
    python3 training_pace.py OURS.jsonl --device cpu --ranks 2

OURS.jsonl holds what `training-pace` printed: sizes, batches, shapes and numbers of parameters, which
must be equal. A step is that of lifecast: windows from the host (here pinned for a GPU), forward pass with
dropout, the losses of quantiles, mean, turns and stages, backward pass, clipping of the whole
gradient, AdamW. With `--ranks` it is DistributedDataParallel over Gloo, one thread a rank, each rank with
its part of the batch. The losses run on the device, as anybody would write them in PyTorch.
"""

import argparse
import contextlib
import json
import socket
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

N_LEVELS, N_TURNS, N_STAGES = 13, 12, 19
LEVELS = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
MEDIAN = 6
DEVICE = "cuda"


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.scale


def over_windows(x, rate, training):
    """Dropout of hidden units in the same place of every token of a window."""
    if not training:
        return x
    mask = torch.empty(x.shape[0], 1, x.shape[2], device=x.device, dtype=x.dtype)
    return x * mask.bernoulli_(1 - rate) / (1 - rate)


class Layer(nn.Module):
    def __init__(self, d_model, d_hidden, n_heads, dropout):
        super().__init__()
        self.attention_norm, self.hidden_norm = Norm(d_model), Norm(d_model)
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.attention_out = nn.Linear(d_model, d_model)
        self.hidden_in = nn.Linear(d_model, d_hidden)
        self.hidden_out = nn.Linear(d_hidden, d_model)
        self.n_heads, self.dropout = n_heads, dropout

    def forward(self, tokens, hidden):
        n, length, width = tokens.shape
        qkv = self.qkv(self.attention_norm(tokens)).reshape(n, length, 3, self.n_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=hidden)
        update = self.attention_out(mixed.transpose(1, 2).reshape(n, length, width))
        tokens = tokens + over_windows(update, self.dropout, self.training)
        update = self.hidden_out(functional.relu(self.hidden_in(self.hidden_norm(tokens))))
        return tokens + over_windows(update, self.dropout, self.training)


class Recurrence(nn.Module):
    """PyTorch's own layer; the second of its two biases, which adds nothing, rests at zero."""

    def __init__(self, d_model, dropout):
        super().__init__()
        self.norm = Norm(d_model)
        self.layer = nn.LSTM(d_model, d_model, batch_first=True)
        nn.init.zeros_(self.layer.bias_hh_l0)
        self.layer.bias_hh_l0.requires_grad_(False)
        self.dropout = dropout

    def forward(self, tokens, n_patches):
        said, _ = self.layer(self.norm(tokens[:, :n_patches]))
        last = said[:, -1:].expand(-1, tokens.shape[1] - n_patches, -1)
        return tokens + over_windows(torch.cat([said, last], 1), self.dropout, self.training)


class Network(nn.Module):
    """Names and shapes are those of lifecast's `Patches`; what only pretraining trains rests."""

    def __init__(self, shape, dropout=0.1):
        super().__init__()
        dims, patch = shape["dimensions"], shape["patch"]
        d_model, d_wide = shape["d_model"], shape["d_wide"]
        n_known, n_statics = dims["n_horizon_inputs"], dims["n_static_inputs"]
        self.horizon, self.patch, self.dropout = dims["horizon"], patch, dropout
        self.n_patches = -(-dims["context"] // patch)
        self.n_groups = -(-dims["horizon"] // patch)
        n_tokens = self.n_patches + 2 + self.n_groups
        self.patch_in = nn.Linear(patch * dims["n_context_inputs"], d_model)
        self.horizon_in = nn.Linear(patch * n_known, d_model)
        self.wide_in = nn.Linear(n_statics, d_wide)
        self.wide_up, self.wide_down = nn.Linear(d_wide, d_wide), nn.Linear(d_wide, d_wide)
        self.wide_norm = Norm(d_wide)
        self.static_tokens = nn.Linear(d_wide, 2 * d_model)
        self.positions = nn.Parameter(0.05 * torch.randn(n_tokens, d_model))
        self.is_recurrent = shape["kind"] == "lstm"
        layer = lambda: (
            Recurrence(d_model, dropout)
            if self.is_recurrent
            else Layer(d_model, shape["d_hidden"], shape["n_heads"], dropout)
        )
        self.layers = nn.ModuleList(layer() for _ in range(shape["n_layers"]))
        self.norm = Norm(d_model)
        self.step_in = nn.Linear(n_known, d_model)
        self.step_wide = nn.Linear(d_wide, d_model)
        self.step_positions = nn.Parameter(0.05 * torch.randn(self.horizon, d_model))
        self.units_head = nn.Linear(d_model + n_known, N_LEVELS + 1)
        self.outlook_in = nn.Linear(d_model, d_wide)
        self.turns_head = nn.Linear(d_wide + n_statics, N_TURNS)
        self.stages_head = nn.Linear(d_wide + n_statics, N_STAGES)
        self.masked_positions = nn.Parameter(torch.zeros(1, d_model))
        self.context_head = nn.Linear(d_model, patch)

    def forward(self, context, statics, steps, hidden):
        n = context.shape[0]
        drop = self.dropout if self.training else 0.0
        statics = functional.dropout(statics, drop / 2, self.training)
        if self.training:
            lost = torch.rand(n, 1, 1, self.n_patches, device=context.device) < drop / 2
            rest = torch.zeros(n, 1, 1, 2 + self.n_groups, device=context.device, dtype=torch.bool)
            hidden = hidden.masked_fill(torch.cat([lost, rest], 3), -1e4)
        wide = functional.silu(self.wide_in(statics))
        wide = self.wide_norm(wide + self.wide_down(functional.silu(self.wide_up(wide))))
        wide = functional.dropout(wide, drop, self.training)
        groups = functional.pad(steps.flatten(1), (0, (self.n_groups * self.patch - self.horizon) * steps.shape[2]))
        tokens = torch.cat(
            [
                self.patch_in(context.reshape(n, self.n_patches, -1)),
                self.static_tokens(wide).reshape(n, 2, -1),
                self.horizon_in(groups.reshape(n, self.n_groups, -1)),
            ],
            1,
        ) + self.positions
        hidden = hidden.to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, self.n_patches if self.is_recurrent else hidden)
        tokens = self.norm(tokens)
        of_steps = tokens[:, -self.n_groups :].repeat_interleave(self.patch, 1)[:, : self.horizon]
        of_steps = of_steps + self.step_in(steps) + self.step_wide(wide)[:, None] + self.step_positions
        units = self.units_head(torch.cat([functional.silu(of_steps), steps.to(of_steps.dtype)], 2))
        outlook = functional.silu(self.outlook_in(tokens[:, self.n_patches])) + wide
        outlook = torch.cat([outlook, statics.to(outlook.dtype)], 1)
        return units, self.turns_head(outlook), self.stages_head(outlook)


def loss_of(units, turns, stages, target):
    units, turns, stages = units.float(), turns.float(), stages.float()
    levels = torch.tensor(LEVELS, device=units.device)
    median = units[..., MEDIAN : MEDIAN + 1]
    above = median + functional.softplus(units[..., MEDIAN + 1 : N_LEVELS]).cumsum(-1)
    below = median - functional.softplus(units[..., :MEDIAN]).flip(-1).cumsum(-1).flip(-1)
    miss = target["units"][..., None] - torch.cat([below, median, above], -1)
    pinball = torch.maximum(levels * miss, (levels - 1) * miss).mean(-1) * 2
    mean = functional.huber_loss(
        functional.softplus(units[..., N_LEVELS]), target["units"], delta=6.0, reduction="none"
    )
    weight = target["weight"][:, None]
    loss = (weight * (4.0 * pinball + 0.2 * mean)).mean()
    for horizon in range(3):
        logits = turns[:, 4 * horizon : 4 * horizon + 4]
        loss = loss + functional.cross_entropy(logits, target["turns"][:, horizon]) / 3
    begin = 0
    for head, n_classes in enumerate([4, 5, 5, 5]):
        logits = stages[:, begin : begin + n_classes]
        loss = loss + 0.5 / 4 * functional.cross_entropy(logits, target["stages"][:, head, :n_classes])
        begin += n_classes
    return loss


def host_batches(shape, batch, n_batches=4):
    dims = shape["dimensions"]
    n_tokens = -(-dims["context"] // shape["patch"]) + 2 + -(-dims["horizon"] // shape["patch"])
    pinned = lambda values: values.pin_memory() if DEVICE == "cuda" else values
    of = lambda *size: pinned(2 * torch.rand(*size) - 1)
    for _ in range(n_batches):
        stages = torch.full((batch, 4, 5), 0.2)
        target = {
            "units": pinned(of(batch, dims["horizon"]).clamp_min(0)),
            "weight": pinned(torch.ones(batch)),
            "turns": pinned(torch.randint(0, 4, (batch, 3))),
            "stages": pinned(stages),
        }
        inputs = [
            of(batch, dims["context"], dims["n_context_inputs"]),
            of(batch, dims["n_static_inputs"]),
            of(batch, dims["horizon"], dims["n_horizon_inputs"]),
            pinned(torch.zeros(batch, 1, 1, n_tokens)),
        ]
        yield inputs, target


def case(ours, precision, seconds, compiled, n_ranks=1):
    shape, batch = ours["shape"], ours["batch"]
    torch.manual_seed(1)
    network = Network(shape).to(DEVICE)
    n_parameters = sum(weights.numel() for weights in network.parameters() if weights.requires_grad)
    assert n_parameters == ours["n_parameters"], (n_parameters, ours["n_parameters"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.02, fused=True)
    half = {"f16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    scaler = torch.amp.GradScaler(DEVICE, enabled=precision == "f16")
    cast = torch.autocast(DEVICE, dtype=half) if half else contextlib.nullcontext()
    forward = torch.compile(network) if compiled else network
    if n_ranks > 1:
        # What only pretraining trains gets no gradient.
        forward = nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)
    batches = list(host_batches(shape, batch // n_ranks))
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def step(number):
        inputs, target = batches[number % len(batches)]
        inputs = [values.to(DEVICE, non_blocking=True) for values in inputs]
        target = {name: values.to(DEVICE, non_blocking=True) for name, values in target.items()}
        with cast:
            units, turns, stages = forward(*inputs)
        loss = loss_of(units, turns, stages, target)
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad(set_to_none=True)
        return loss.item()

    begin = time.perf_counter()
    step(0)
    compile_seconds = time.perf_counter() - begin
    for number in range(1, 6):
        step(number)
    times, begin = [], time.perf_counter()
    while keeps_on(time.perf_counter() - begin < seconds or len(times) < 10, n_ranks):
        start = time.perf_counter()
        loss = step(len(times))
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return {
        "case": "training",
        "who": "pytorch compiled" if compiled else "pytorch eager",
        "ranks": n_ranks,
        "hardware": torch.cuda.get_device_name() if DEVICE == "cuda" else f"{torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "precision": precision,
        "kind": ours["kind"],
        "size": ours["size"],
        "batch": batch,
        "n_parameters": n_parameters,
        "samples_per_second": batch / median,
        "step_ms": 1e3 * median,
        "n_steps": len(times),
        "compile_seconds": compile_seconds,
        "memory_bytes": torch.cuda.max_memory_reserved() if DEVICE == "cuda" else None,
        "memory_used_bytes": torch.cuda.max_memory_allocated() if DEVICE == "cuda" else None,
        "loss": loss,
    }


def keeps_on(wish, n_ranks):
    """Whether all ranks go on: as the first one wishes."""
    if n_ranks == 1:
        return wish
    wish = torch.tensor([float(wish)])
    torch.distributed.broadcast(wish, 0)
    return bool(wish.item())


def rank(number, flags, lines, port):
    """One rank of several: the first prints."""
    torch.set_num_threads(1)
    global DEVICE
    DEVICE = "cpu"
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=flags.ranks
    )
    for line in lines:
        result = case(line, flags.precision, flags.seconds, False, flags.ranks)
        if number == 0:
            print(json.dumps(result), flush=True)
    torch.distributed.destroy_process_group()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("ours")
    flags.add_argument("--precision", default="f32", choices=["f32", "tf32", "f16", "bf16"])
    flags.add_argument("--seconds", type=float, default=4.0)
    flags.add_argument("--compile", action="store_true")
    flags.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    flags.add_argument("--threads", type=int, help="of a CPU; all cores where not given")
    flags.add_argument("--ranks", type=int, default=1, help="processes of one thread each")
    flags = flags.parse_args()
    global DEVICE
    DEVICE = flags.device
    if flags.threads:
        torch.set_num_threads(flags.threads)
    torch.backends.cuda.matmul.allow_tf32 = flags.precision == "tf32"
    with open(flags.ours) as file:
        lines = [json.loads(line) for line in file if line.strip()]
    cases = {(line.get("kind"), line.get("size"), line.get("batch")): line for line in lines if line["case"] == "training"}
    if flags.ranks > 1:
        arguments = (flags, list(cases.values()), free_port())
        torch.multiprocessing.spawn(rank, arguments, nprocs=flags.ranks)
        return
    for line in cases.values():
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
        print(json.dumps(case(line, flags.precision, flags.seconds, flags.compile)), flush=True)


if __name__ == "__main__":
    main()
