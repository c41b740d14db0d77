"""Wanda, RIA and SparseGPT of the Multi30k Transformer against the forward passes that they need, and their sums."""

import statistics
import time
from argparse import Namespace
from types import SimpleNamespace

import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel

from fairseq_prune.deploy.prune import prune_model
from fairseq_prune.engine.calibrate import input_products, inputs
from fairseq_prune.pruning.calibration.inputs import Inputs
from fairseq_prune.pruning.calibration.reconstruct import reconstruct
from fairseq_prune.pruning.calibration.scores import INPUT_SCORES
from fairseq_prune.pruning.selecting.by_columns import Share

WORDS, BATCHES, SENTENCES, LENGTH, ROUNDS = 5900, 5, 120, 16, 5
SIZES = {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in
         (("layers", 4), ("embed_dim", 128), ("ffn_embed_dim", 256), ("attention_heads", 4))}  # fmt: skip


def build():
    """The model of scripts/multi30k.sh, with its first weights."""
    from fairseq.models.transformer import base_architecture

    words = Dictionary()
    for number in range(WORDS):
        words.add_symbol(str(number))
    args = Namespace(**SIZES, share_all_embeddings=True, max_source_positions=1024, max_target_positions=1024)
    base_architecture(args)
    return TransformerModel.build_model(args, SimpleNamespace(source_dictionary=words, target_dictionary=words)).eval()


def batches():
    """As the training's: BATCHES of 2,000 tokens."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(BATCHES):
        source, target = torch.randint(4, WORDS, (2, SENTENCES, LENGTH), generator=generator)
        lengths = torch.full((SENTENCES,), LENGTH)
        yield {"net_input": {"src_tokens": source, "src_lengths": lengths, "prev_output_tokens": target}}


class Forward(torch.nn.Module):
    """Only the pass."""

    def forward(self, model, sample):
        return model(**sample["net_input"]), 1, {}


def seconds(function):
    """Processor time of one call (s): other work on the machine does not count."""
    start = time.process_time()
    function()
    return time.process_time() - start


def sums_and_solve(model, samples, importance):
    """Seconds that the sums over a layer's inputs and its pruning take by themselves, over all layers."""
    scoring, weights, spent = INPUT_SCORES[importance], dict(model.named_parameters()), 0.0
    seen: list[Inputs] = []  # no set of ids: they are given again to those that come later
    for name, found in (input_products if scoring.paired else inputs)(model, Forward(), samples):
        weight, rows = weights[name].detach(), torch.randn(int(found.rows), weights[name].shape[1])

        def work(weight=weight, rows=rows, found=found):
            if not any(found is other for other in seen):  # queries, keys and values share theirs
                seen.append(found)
                own = Inputs.none(weight, 1, weight.shape[1], scoring.paired)
                for part in rows.chunk(BATCHES):
                    own.add(part.unsqueeze(0))
            keep = torch.ones_like(weight, dtype=torch.bool)
            if scoring.compensates:
                reconstruct(weight[None], found.factor, Share(weight.numel() // 2, keep))
            else:
                scoring.score(weight[None], found)[0].sort(dim=1)

        spent += seconds(work)
    return spent


def main():
    """Print one row for each method: medians of the rounds, and the ratio that is to be 1.2 at most."""
    samples = list(batches())
    print(f"| {BATCHES} batches of {SENTENCES * LENGTH:,} tokens | forward s | sums and solve s | all s | ratio |")
    print("|---|---|---|---|---|")
    for method, importance in (("wanda", "wanda"), ("ria", "ria"), ("sparsegpt", "obs")):
        rows = [one_round(samples, method, importance) for _ in range(ROUNDS)]
        forward, solve, all_of_it = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(row[2] / (row[0] + row[1]) for row in rows)
        print(f"| {method} | {forward:.2f} | {solve:.2f} | {all_of_it:.2f} | {ratio:.2f} |")


def one_round(samples, method, importance):
    """Seconds of the forward passes, of sums and solve, and of a whole pruning."""
    model, gather = build(), input_products if INPUT_SCORES[importance].paired else inputs
    with torch.no_grad():
        forward = seconds(lambda: [model(**sample["net_input"]) for sample in samples])
    solve = sums_and_solve(model, samples, importance)

    def evidence(model, kind, count, seed):
        return gather(dict(model.named_parameters()), model, Forward(), samples)

    return forward, solve, seconds(lambda: prune_model(model, {"method": method, "target": 0.5}, gather=evidence))


if __name__ == "__main__":
    main()
