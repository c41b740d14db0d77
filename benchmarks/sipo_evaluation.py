"""Seconds of one candidate of a SiPO search, against evaluating whole batches of logits.

A language model of the reference's size (4.65 M parameters, 10,000 words) is trained for a moment on
drawn text in which a word often says what follows, until it predicts like a real one; then its
weights are removed by magnitude and it is evaluated on 73,760 tokens in 10 columns (--tokens). Or give a
trained model and a corpus, whose validation split is taken.
"""

import argparse
import statistics
from types import SimpleNamespace

import torch
from devices import add_device
from fairseq.data import Dictionary

import fairseq_prune
from fairseq_prune.engine.columns import lay_out
from fairseq_prune.evaluate.blocks import column_blocks
from fairseq_prune.evaluate.evaluator import Evaluator
from fairseq_prune.evaluate.load import Workbench
from fairseq_prune.models.rnn_lm import RnnLm, RnnLmConfig
from fairseq_prune.pruning.search.table import MagnitudeTable, sound_count

fairseq_prune.register()
WORDS, COLUMNS, CHUNK = 9_998, 10, 35


def draw_text(length, generator):
    """Words by Zipf's law, int64 [length]; every fourth word is settled by the one before it."""
    weights = 1 / torch.arange(1, WORDS + 1, dtype=torch.float64)
    words = torch.multinomial(weights, length, replacement=True, generator=generator)
    follows = torch.multinomial(weights, WORDS, replacement=True, generator=generator)
    settled = torch.rand(length, generator=generator) < 0.25
    for i in range(1, length):
        if settled[i]:
            words[i] = follows[words[i - 1]]
    return words + 4


def train(model, text, updates):
    """Adam on random chunks of the text."""
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    columns = lay_out(text, 20, 1)
    for update in range(updates):
        start = update * CHUNK % (columns.size(1) - CHUNK - 1)
        piece = columns[:, start : start + CHUNK + 1]
        logits = model.decoder(piece[:, :-1])[0]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), piece[:, 1:].flatten(), ignore_index=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def whole_batches(model, columns):
    """The plain way: chunk by chunk, logits of all words; hits (count)."""
    state, hits = None, 0
    for start in range(0, columns.size(1) - 1, CHUNK):
        piece = columns[:, start : start + CHUNK + 1]
        features, state = model.decoder.extract_features(piece[:, :-1], state)
        hits += int((model.decoder.output_layer(features).argmax(-1) == piece[:, 1:]).sum())
    return hits


def main():
    """Print a table row for each fraction removed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="evaluations of each kind")
    parser.add_argument("--updates", type=int, default=150, help="of the training before")
    parser.add_argument("--tokens", type=int, default=73_760, help="to evaluate on, and to train on before")
    parser.add_argument("--checkpoint", help="evaluate this model instead, on --data")
    parser.add_argument("--data", help="folder of fairseq-preprocess (default: that of --checkpoint)")
    add_device(parser)
    args = parser.parse_args()
    seconds = args.device.seconds
    trained = lambda: _train(args.updates, args.tokens, args.device)  # noqa: E731
    evaluator, columns = _load(args.checkpoint, args.data) if args.checkpoint else trained()
    targets = evaluator.measure().targets
    weights = {name: parameter.detach().clone() for name, parameter in evaluator.parameters.items()}
    size = sum(weight.numel() for weight in weights.values()) / 1e6
    table = MagnitudeTable(weights, {name: [name] for name in weights})
    title = f"one evaluation, {size:.2f} M parameters, {targets:,} targets, {args.device.name}"
    print(f"| {title} | accuracy | whole batches (s) | ours (s) | ratio |")
    print("|---|---|---|---|---|")
    for fraction in (0.0, 0.6, 0.97):
        table.write(
            {g: sound_count(fraction, group.magnitudes) for g, group in table.groups.items()}, evaluator.parameters
        )
        pairs = [
            (seconds(lambda: whole_batches(evaluator.model, columns)), seconds(lambda: evaluator.hits(targets).hits))
            for _ in range(args.rounds)
        ]
        plain, ours = (statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
        assert abs(pairs[0][0][1] - pairs[0][1][1]) <= 5, "the two ways disagree by more than rounding"
        accuracy = pairs[0][1][1] / targets
        print(
            f"| {fraction:.0%} removed | {accuracy:.4f} | {plain:.2f} | {ours:.2f} | {plain / ours:.2f} |", flush=True
        )
    print(f"\n{args.device.memory()}")


def _train(updates, tokens, device):
    """Evaluator of a model that learned drawn text for a moment, on further text; that text as columns."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    dictionary = Dictionary()
    for word in range(WORDS):
        dictionary.add_symbol(f"w{word}")
    model = RnnLm.build_model(RnnLmConfig(), SimpleNamespace(source_dictionary=dictionary)).to(device.torch)
    text = draw_text(tokens * 2, generator).to(device.torch)
    train(model, text[tokens:], updates)
    columns = lay_out(text[:tokens], COLUMNS, 1)
    return Evaluator(model, column_blocks(columns, 1)), columns


def _load(checkpoint, data):
    """Evaluator of a trained model on its validation split, and that split as columns."""
    bench = Workbench(checkpoint, data)
    evaluator = bench.evaluator(bench.model(checkpoint), "valid")
    return evaluator, lay_out(bench.task.dataset("valid").tokens, COLUMNS, 1)


if __name__ == "__main__":
    main()
