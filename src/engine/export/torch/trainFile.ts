/** The trainer of a project: the loop of train/run.ts in PyTorch, for one or more processes. */

export const trainSource = `"""
Continues the training of this folder's model.

    python train.py                            one process
    torchrun --nproc_per_node 2 train.py       several: Gloo on CPUs, NCCL on GPUs
    python train.py --check                    compares with Decoder Lab, without training

The settings are in train.json. A step has batchSize sequences for each process and each of gradientAccumulation passes.
The result is a Decoder Lab model folder with checkpoints, from which the next start resumes.
"""

import argparse
import json
import math
import os
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from data import IGNORE, Random, open_data
from model import load
from weights import read_tensors, write_tensors

HERE = Path(__file__).resolve().parent
KEEP_CHECKPOINTS = 2


def read_json(path):
    return json.loads(Path(path).read_text())


def write_json(path, value):
    Path(path).write_text(json.dumps(value, indent=2) + "\\n")


def learning_rate(schedule, step, steps, width):
    """Returns the learning rate of a step, counted from 1."""
    kind = schedule["kind"]
    if kind == "constant":
        return schedule["lr"]
    if kind == "noam":
        return schedule["factor"] * width**-0.5 * min(step**-0.5, step * max(1, schedule["warmup"]) ** -1.5)
    if kind == "step":
        return schedule["lr"] * schedule["gamma"] ** ((step - 1) // schedule["stepSize"])
    if kind == "cosine":
        lr, least, warmup = schedule["lr"], schedule["minLr"], schedule["warmup"]
        if step <= warmup:
            return lr * step / (warmup + 1)
        progress = min(1, (step - warmup) / max(1, steps - warmup))
        return least + 0.5 * (1 + math.cos(math.pi * progress)) * (lr - least)
    raise SystemExit(f'train.json: unknown schedule "{kind}". Choose constant, noam, step or cosine.')


def make_optimizer(model, settings, moments, step):
    """Creates Adam, or AdamW, which decays only matrices, with the moments of the run if there are any."""
    decaying = set(read_json(HERE / "architecture.json")["decaying"])
    groups = [{"params": []}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in model.named_parameters():
        groups[0 if name in decaying else 1]["params"].append(parameter)
    options = {"lr": 0.0, "betas": (settings["beta1"], settings["beta2"]), "eps": settings["eps"]}
    if settings["kind"] == "adamw":
        optimizer = torch.optim.AdamW(groups, weight_decay=settings["weightDecay"], **options)
    else:
        optimizer = torch.optim.Adam(groups, **options)
    for name, parameter in model.named_parameters():
        if moments:
            m, v = (moments[f"{key}.{name}"].to(parameter.device) for key in "mv")
            optimizer.state[parameter] = {"step": torch.tensor(float(step)), "exp_avg": m, "exp_avg_sq": v}
    return optimizer


def summed_loss(model, ids, labels, device):
    """Returns the sum of every label's cross-entropy in nats."""
    logits = model(torch.as_tensor(ids, dtype=torch.long, device=device))
    labels = torch.as_tensor(labels, dtype=torch.long, device=device)
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum")


@torch.no_grad()
def evaluate(model, data, settings, group):
    """Returns the loss on the validation part; the processes share its batches."""
    model.eval()
    total = torch.zeros(2, dtype=torch.float64, device=group.device)
    for i, (ids, labels) in enumerate(data.held_out(settings["batchSize"], settings["evalBatches"])):
        if i % group.size == group.rank:
            total[0] += summed_loss(model, ids, labels, group.device)
            total[1] += int((labels != IGNORE).sum())
    model.train()
    loss, tokens = group.sum(total).tolist()
    return {"loss": loss / tokens, "perplexity": math.exp(loss / tokens), "tokens": int(tokens)} if tokens else None


class Group:
    """The processes that train together; only one without torchrun."""

    def __init__(self):
        has_gpu = torch.cuda.is_available()
        self.is_shared = "RANK" in os.environ
        if self.is_shared:
            dist.init_process_group("nccl" if has_gpu else "gloo")
        self.rank = dist.get_rank() if self.is_shared else 0
        self.size = dist.get_world_size() if self.is_shared else 1
        local = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
        if has_gpu:
            torch.cuda.set_device(self.device)

    def wrap(self, model):
        if not self.is_shared:
            return model
        return DistributedDataParallel(model, device_ids=None if self.device.type == "cpu" else [self.device.index])

    def sum(self, tensor):
        if self.is_shared:
            dist.all_reduce(tensor)
        return tensor

    def leave(self):
        if self.is_shared:
            dist.barrier()
            dist.destroy_process_group()


class Run:
    """A Decoder Lab model folder, its checkpoints, and the log of its reports."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def start(self):
        """Returns the folder to resume from: the newest checkpoint, or the export."""
        return max(self.folder.glob("checkpoints/step-*"), default=HERE)

    def prepare(self, step):
        """Creates the folder and removes the reports of steps after the checkpoint, which will be repeated."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for rest in self.folder.glob("checkpoints/writing-*"):
            shutil.rmtree(rest)
        if (HERE / "data.txt").exists():
            shutil.copy(HERE / "data.txt", self.folder)
        log = self.folder / "reports.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        kept = [line for line in lines if (r := json.loads(line)).get("step", r.get("eval", r).get("step", 0)) <= step]
        log.write_text("".join(line + "\\n" for line in kept))

    def report(self, values):
        with open(self.folder / "reports.jsonl", "a") as log:
            log.write(json.dumps(values) + "\\n")

    def save(self, model, optimizer, record):
        """Writes a checkpoint under a temporary name and renames it, so that a named checkpoint is complete."""
        name = f"step-{record['step']:08}"
        path, work = self.folder / "checkpoints" / name, self.folder / "checkpoints" / f"writing-{name}"
        work.mkdir(parents=True)
        for file in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
            if (HERE / file).exists():
                shutil.copy(HERE / file, work)
        write_json(work / "training.json", record)
        names = read_json(HERE / "architecture.json")["names"]
        parameters = dict(model.named_parameters())
        write_tensors(work / "model.safetensors", {names[name]: p for name, p in parameters.items()})
        moments = {"m": "exp_avg", "v": "exp_avg_sq"}
        write_tensors(
            work / "optimizer.safetensors",
            {f"{key}.{name}": optimizer.state[p][of] for key, of in moments.items() for name, p in parameters.items()},
        )
        shutil.rmtree(path, ignore_errors=True)
        work.rename(path)
        for file in path.iterdir():
            if file.name != "optimizer.safetensors":
                copy = self.folder / f"{file.name}.new"
                shutil.copy(file, copy)
                copy.replace(self.folder / file.name)
        for old in sorted(self.folder.glob("checkpoints/step-*"))[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)


def named(tree, prefix):
    """Yields the values of nested settings with their dotted names."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from named(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def recorded(record, settings, rows):
    """Returns the run's record with its current settings, as Decoder Lab names them."""
    known = {name: value for name, value in named(settings, "train.") if name in record["settings"]}
    # The same batch in one process, with the same number of passes.
    passes = settings["gradientAccumulation"]
    known |= {"train.batchSize": rows // passes, "train.gradientAccumulation": passes}
    return {**record, "steps": settings["steps"], "settings": {**record["settings"], **known}}


def train(settings, out):
    group, run = Group(), Run(out)
    start = run.start()
    record = read_json(start / "training.json")
    step, steps = record["step"], settings["steps"]
    if step >= steps:
        raise SystemExit(f"All {steps} steps are done. Set a larger total with --steps.")

    plain = load(start, settings["dropout"], settings["attentionDropout"]).to(group.device)
    moments = start / "optimizer.safetensors"
    moments = read_tensors([moments]) if moments.exists() else None
    optimizer = make_optimizer(plain, settings["optimizer"], moments, step)
    model = group.wrap(plain)
    data = open_data(HERE / "data", settings["blockSize"], settings["seed"])
    B, passes = settings["batchSize"], settings["gradientAccumulation"]
    rows = B * passes * group.size
    record = recorded(record, settings, rows)
    if group.rank == 0:
        run.prepare(step)

    while step < steps:
        step += 1
        started = time.perf_counter()
        # Dropout differs between steps and processes, and is the same when a step is repeated.
        torch.manual_seed(Random(settings["seed"], "dropout", step, group.rank).next())
        drawn = data.draw(step, rows)
        count = data.labels(drawn)
        lr = learning_rate(settings["schedule"], step, steps, plain.c["dModel"])
        for options in optimizer.param_groups:
            options["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros(1, device=group.device)
        for i in range(passes):
            first = (i * group.size + group.rank) * B
            is_last = i == passes - 1
            with nullcontext() if is_last or not group.is_shared else model.no_sync():
                loss = summed_loss(model, *data.read(drawn[first : first + B]), group.device) / count
                # Gradients are averaged over processes, but the loss is a sum over them.
                (loss * group.size).backward()
            total += loss.detach()
        limit = settings["maxGradNorm"] or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(plain.parameters(), limit))
        optimizer.step()

        loss = float(group.sum(total))
        speed = rows * settings["blockSize"] / (time.perf_counter() - started)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise SystemExit(f"Training diverged at step {step}. Set a lower learning rate in train.json.")
        record = {**record, "step": step, "loss": loss, "accuracy": None}
        if group.rank == 0:
            run.report({"step": step, "loss": loss, "lr": lr, "gradNorm": norm, "tokensPerSecond": speed})
            print(f"step {step}  loss {loss:.4f}  lr {lr:.2e}  norm {norm:.2f}  {speed:,.0f} tokens/s", flush=True)

        if step % settings["evalEvery"] == 0 or step == steps:
            report = evaluate(plain, data, settings, group)
            if report is not None:
                best = min(report["loss"], record["bestLoss"] if record["bestLoss"] is not None else math.inf)
                record = {**record, "valLoss": report["loss"], "bestLoss": best}
                if group.rank == 0:
                    run.report({"eval": {"step": step, **report}})
                    print(f"step {step}  validation loss {report['loss']:.4f}", flush=True)
        if group.rank == 0 and (step % settings["checkpointEvery"] == 0 or step == steps):
            run.save(plain, optimizer, record)
    group.leave()


@torch.no_grad()
def check(settings):
    """Compares the first batch and its loss with Decoder Lab's."""
    expected = read_json(HERE / "first_batch.json")
    data = open_data(HERE / "data", expected["blockSize"], expected["seed"], check=True)
    ids, labels = data.read(data.draw(expected["step"], expected["batchSize"]))
    if ids.tolist() != expected["ids"] or labels.tolist() != expected["labels"]:
        raise SystemExit(f"The batch of step {expected['step']} differs from Decoder Lab's. Export the project again.")
    loss = float(summed_loss(load(HERE).eval(), ids, labels, "cpu")) / int((labels != IGNORE).sum())
    difference = abs(loss - expected["loss"])
    print(f"Step {expected['step']}: loss {loss:.6f}, in Decoder Lab {expected['loss']:.6f}, difference {difference:.1e}")
    if not difference < 1e-4:
        raise SystemExit("The losses differ by more than 1e-4. Export the project again.")


def main():
    parser = argparse.ArgumentParser(description="Continues the training of this folder's model with the settings in train.json.")
    parser.add_argument("--check", action="store_true", help="compare the first loss with Decoder Lab's, without training")
    parser.add_argument("--out", default=HERE / "trained", help="the model folder to create or resume")
    parser.add_argument("--steps", type=int, help="total number of steps")
    parser.add_argument("--batch-size", type=int, dest="batchSize", help="sequences per process and pass")
    parser.add_argument("--accumulate", type=int, dest="gradientAccumulation", help="passes per step")
    args = vars(parser.parse_args())
    is_check, out = args.pop("check"), args.pop("out")
    settings = {**read_json(HERE / "train.json"), **{name: value for name, value in args.items() if value is not None}}
    if is_check:
        check(settings)
    else:
        train(settings, out)


if __name__ == "__main__":
    main()
`;
