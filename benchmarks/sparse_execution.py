"""What --prune-execute auto gains: language modelling and a candidate of SiPO, dense and auto in one run.

A language model of SiPO's size (rnn_lm, 4.65 M parameters, 10,000 words), its weights removed at random, unless a
trained one is given, whose smallest weights are removed. tokens/s are those of fairseq-eval-lm's own loop; a
candidate of SiPO is one evaluation of hits on the validation split. Seconds are those of the processor, all threads
together, so that other work on the machine counts little.
"""

import argparse
import time
from types import SimpleNamespace

import torch
from fairseq.data import Dictionary
from fairseq_cli.eval_lm import eval_lm

import fairseq_prune
from fairseq_prune.engine.columns import chunk, lay_out, num_chunks
from fairseq_prune.evaluate.blocks import column_blocks
from fairseq_prune.evaluate.evaluator import Evaluator
from fairseq_prune.evaluate.load import Workbench
from fairseq_prune.models.rnn_lm import RnnLm, RnnLmConfig
from fairseq_prune.modules.csr.execute import Execution
from fairseq_prune.pruning.search.table import MagnitudeTable, sound_count

fairseq_prune.register()
WORDS, TOKENS, CHUNK, COLUMNS = 9_998, 20_000, 35, 10
FRACTIONS = (0.0, 0.8, 0.9, 0.96, 0.97)


def drawn():
    """(model, dictionary, tokens) of SiPO's size."""
    dictionary = Dictionary()
    for word in range(WORDS):
        dictionary.add_symbol(f"w{word}")
    torch.manual_seed(1)
    model = RnnLm.build_model(RnnLmConfig(), SimpleNamespace(source_dictionary=dictionary))
    return model.eval(), dictionary, torch.randint(4, len(dictionary), (TOKENS,))


def trained(checkpoint, data):
    """(model, dictionary, tokens) of a checkpoint."""
    bench = Workbench(checkpoint, data)
    bench.has("valid")
    return bench.model(checkpoint).cpu(), bench.task.dictionary, bench.task.dataset("valid").tokens[:TOKENS]


def batches(tokens, columns):
    """As fairseq-eval-lm's, without the state between them."""
    laid = lay_out(tokens, columns, 1)
    for index in range(num_chunks(laid, CHUNK)):
        inputs, targets = chunk(laid, index, CHUNK)
        yield {
            "id": torch.arange(len(inputs)), "ntokens": inputs.numel(), "target": targets,
            "net_input": {"src_tokens": inputs},
        }  # fmt: skip


def least_seconds(function, rounds):
    """Seconds of the processor in the fastest of some calls, and what the last returned."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


def measure(how, model, dictionary, tokens, args):
    """For each fraction removed: ((seconds, loss) of fairseq-eval-lm's loop, (seconds, hits) of a candidate)."""
    table = MagnitudeTable({n: p.detach().clone() for n, p in model.named_parameters()}, _groups(model))
    samples = list(batches(tokens, args.columns))
    for fraction in FRACTIONS:
        table.write({g: sound_count(fraction, group.magnitudes) for g, group in table.groups.items()}, _named(model))
        Execution(model, how)
        language = least_seconds(lambda: eval_lm([model], dictionary, samples)["loss"], args.rounds)
        evaluator = Evaluator(model, column_blocks(lay_out(tokens, COLUMNS, 1), 1), how=how)
        evaluator.measure()
        yield language, least_seconds(lambda e=evaluator: e.hits(len(tokens)).hits, args.rounds)
    table.write({g: 0 for g in table.groups}, _named(model))


def main():
    """Print a table row for each fraction removed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    parser.add_argument("--columns", type=int, default=20, help="batch of fairseq-eval-lm")
    parser.add_argument("--checkpoint", help="a trained language model instead, on --data")
    parser.add_argument("--data", help="folder of fairseq-preprocess (default: that of --checkpoint)")
    args = parser.parse_args()
    model, dictionary, tokens = trained(args.checkpoint, args.data) if args.checkpoint else drawn()
    size = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"{size:.2f} M parameters, {torch.get_num_threads()} threads, batches of {args.columns}\n")
    print("| removed | eval-lm tokens/s dense | auto | ratio | SiPO's candidate (s) dense | auto | ratio |")
    print("|---|---|---|---|---|---|---|")
    ways = [list(measure(how, model, dictionary, tokens, args)) for how in ("dense", "auto")]  # auto keeps memory
    for fraction, (dense, dense_hits), (auto, auto_hits) in zip(FRACTIONS, *ways, strict=True):
        assert abs(dense[1] - auto[1]) < 1e-4 and abs(dense_hits[1] - auto_hits[1]) <= 5, "dense and auto disagree"
        rates = [len(tokens) / seconds for seconds in (dense[0], auto[0])]
        print(
            f"| {fraction:.0%} | {rates[0]:,.0f} | {rates[1]:,.0f} | {rates[1] / rates[0]:.2f} "
            f"| {dense_hits[0]:.2f} | {auto_hits[0]:.2f} | {dense_hits[0] / auto_hits[0]:.2f} |"
        )


def _named(model):
    return dict(model.named_parameters())


def _groups(model):
    return {"matrices": [name for name, parameter in model.named_parameters() if parameter.dim() > 1]}


if __name__ == "__main__":
    main()
