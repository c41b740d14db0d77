"""What --prune-execute auto gains: language modelling and a candidate of SiPO, dense and auto in one run.

A language model of SiPO's size (rnn_lm, 4.65 M parameters, 10,000 words), its weights removed at random, unless a
trained one is given, whose smallest weights are removed. tokens/s are those of fairseq-eval-lm's own loop; a
candidate of SiPO is one evaluation of hits on the validation split, and follows others, as in its search. Dense and
auto alternate; seconds are those of the processor, all threads together, so that other work counts little.
"""

import argparse
import copy
import statistics
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
WORDS, TOKENS, CHUNK, COLUMNS = 9_998, 2_000, 35, 10
FRACTIONS, HOWS = (0.0, 0.8, 0.9, 0.97), ("dense", "auto")


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
    return bench.model(checkpoint).cpu(), bench.task.dictionary, bench.task.dataset("valid").tokens


def batches(tokens, columns):
    """As fairseq-eval-lm's, without the state between them."""
    laid = lay_out(tokens, columns, 1)
    for index in range(num_chunks(laid, CHUNK)):
        inputs, targets = chunk(laid, index, CHUNK)
        yield {
            "id": torch.arange(len(inputs)), "ntokens": inputs.numel(), "target": targets,
            "net_input": {"src_tokens": inputs},
        }  # fmt: skip


def seconds(function):
    """Seconds of the processor that a call takes, and what it returns."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def alternate(dense, auto, rounds):
    """Medians of the seconds of two functions called in turn, and of their ratios, after a call that warms up.

    Raises:
        AssertionError: they return numbers that differ.
    """
    told = [(seconds(dense), seconds(auto)) for _ in range(rounds + 1)]
    assert all(abs(one - other) <= 1e-4 * abs(one) + 1e-4 for (_, one), (_, other) in told), "dense and auto disagree"
    pairs = [(one[0], other[0]) for one, other in told[1:]]
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return *medians, statistics.median(one / other for one, other in pairs)


def torn(model, fractions=FRACTIONS):
    """For each fraction: the model with that part of its matrices removed."""
    table = MagnitudeTable({n: p.detach().clone() for n, p in model.named_parameters()}, _groups(model))
    for fraction in fractions:
        counts = {name: sound_count(fraction, group.magnitudes) for name, group in table.groups.items()}
        table.write(counts, dict(model.named_parameters()))
        yield model
    table.write({name: 0 for name in table.groups}, dict(model.named_parameters()))


def candidates(models, tokens, rounds):
    """For each fraction what :func:`alternate` tells of a candidate; models are two alike, for dense and auto."""
    blocks = column_blocks(lay_out(tokens, COLUMNS, 1), 1)
    evaluators = [Evaluator(model, blocks, how=how) for how, model in zip(HOWS, models, strict=True)]
    for evaluator in evaluators:
        evaluator.measure()
    for _ in zip(*map(torn, models), strict=True):
        yield alternate(*(lambda e=e: e.hits(len(tokens)).hits for e in evaluators), rounds)


def evaluations(models, dictionary, samples, rounds, fractions=FRACTIONS):
    """The same of fairseq-eval-lm's loop."""
    for pair in zip(*(torn(model, fractions) for model in models), strict=True):
        for how, model in zip(HOWS, pair, strict=True):
            Execution(model, how)
        yield alternate(*(lambda m=m: eval_lm([m], dictionary, samples)["loss"] for m in pair), rounds)


def language_modelling(fractions, rounds):
    """What :func:`evaluations` tell of the model with random weights, batches of 20."""
    model, dictionary, tokens = drawn()
    return evaluations((model, copy.deepcopy(model)), dictionary, list(batches(tokens, 20)), rounds, fractions)


def main():
    """Print a table row for each fraction removed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    parser.add_argument("--columns", type=int, default=20, help="batch of fairseq-eval-lm")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of the text (default: %(default)s)")
    parser.add_argument("--checkpoint", help="a trained language model instead, on --data")
    parser.add_argument("--data", help="folder of fairseq-preprocess (default: that of --checkpoint)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, dictionary, tokens = trained(args.checkpoint, args.data) if args.checkpoint else drawn()
    tokens = tokens[: args.tokens]
    size = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"{size:.2f} M parameters, {torch.get_num_threads()} threads, batches of {args.columns}\n")
    print("| removed | eval-lm tokens/s dense | auto | ratio | SiPO's candidate (s) dense | auto | ratio |")
    print("|---|---|---|---|---|---|---|")
    pair = model, copy.deepcopy(model)
    asked = list(candidates(pair, tokens, args.rounds))
    samples = list(batches(tokens, args.columns))
    rows = zip(FRACTIONS, evaluations(pair, dictionary, samples, args.rounds), asked, strict=True)
    for fraction, language, candidate in rows:
        rates = [len(tokens) / told for told in language[:2]]
        print(
            f"| {fraction:.0%} | {rates[0]:,.0f} | {rates[1]:,.0f} | {language[2]:.2f} "
            f"| {candidate[0]:.3f} | {candidate[1]:.3f} | {candidate[2]:.2f} |",
            flush=True,
        )


def _groups(model):
    return {"matrices": [name for name, parameter in model.named_parameters() if parameter.dim() > 1]}


if __name__ == "__main__":
    main()
