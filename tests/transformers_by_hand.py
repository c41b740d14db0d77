"""Post-norm Transformers as shapes and owners, written out by hand: what budgets are computed from."""

from fairseq_prune.families.transformer.table import kind_of
from fairseq_prune.pruning.budget.widths import count_parameters
from fairseq_prune.pruning.surgery.structure import Coupled

SIDES = ("encoder", "decoder")


class Transformer:
    """Shapes, removal table and vectors of a post-norm Transformer.

    Args:
        widths, ffn, heads, layers, words: of encoder and decoder each. The decoder's embedding is
            tied to its output and is listed once.
    """

    def __init__(self, widths=(512, 512), ffn=(1024, 1024), heads=(4, 4), layers=(6, 6), words=(8848, 6632)):
        self.shapes, self.owners, lengths, shared_heads = {}, {}, {}, {}
        for side, e, f, h, depth, vocabulary in zip(SIDES, widths, ffn, heads, layers, words, strict=True):
            residual = f"{side}.embedding_c"
            lengths[residual] = e
            self.add(f"{side}.embed_tokens.weight", (vocabulary, e), (1, residual))
            self.owners[f"{side}.pos_emb_mask"] = ((0, residual),)  # a buffer: does not count
            for layer in (f"{side}.layers.{i}" for i in range(depth)):
                blocks = {"self_attn": (residual, e)}
                if side == "decoder":
                    blocks["encoder_attn"] = ("encoder.embedding_c", widths[0])
                for block, (memory, memory_width) in blocks.items():
                    qk, vo = f"{layer}.{block}_qk_c", f"{layer}.{block}_vo_c"
                    lengths[qk] = lengths[vo] = e
                    shared_heads[qk] = shared_heads[vo] = h
                    name = f"{layer}.{block}"
                    self.linear(f"{name}.q_proj", (e, e), qk, residual)
                    self.linear(f"{name}.k_proj", (e, memory_width), qk, memory)
                    self.linear(f"{name}.v_proj", (e, memory_width), vo, memory)
                    self.linear(f"{name}.out_proj", (e, e), residual, vo)
                    self.norm(f"{name}_layer_norm", e, residual)
                lengths[f"{layer}.fc_c"] = f
                self.linear(f"{layer}.fc1", (f, e), f"{layer}.fc_c", residual)
                self.linear(f"{layer}.fc2", (e, f), residual, f"{layer}.fc_c")
                self.norm(f"{layer}.final_layer_norm", e, residual)
        self.vectors = [Coupled(n, kind_of(n), length, heads=shared_heads.get(n, 1)) for n, length in lengths.items()]
        self.lengths = lengths
        self.total = self.count(lengths)
        self.ffn_total = sum(lengths[name] for name in self.names("neuron"))

    def add(self, name, shape, *owned):
        self.shapes[name], self.owners[name] = shape, owned

    def linear(self, name, shape, out, into):
        self.add(f"{name}.weight", shape, (0, out), (1, into))
        self.add(f"{name}.bias", shape[:1], (0, out))

    def norm(self, name, width, residual):
        self.add(f"{name}.weight", (width,), (0, residual))
        self.add(f"{name}.bias", (width,), (0, residual))

    def names(self, *kinds):
        return [v.name for v in self.vectors if v.kind in kinds]

    def count(self, lengths):
        return count_parameters(self.shapes, self.owners, lengths)

    def count_kept(self, widths, order=None):
        """Parameters left when the FFN units fill one layer after another."""
        lengths, left = dict(widths.lengths), widths.ffn_units
        for name in order or self.names("neuron"):
            lengths[name] = min(left, self.lengths[name])
            left -= lengths[name]
        assert left == 0
        return self.count(lengths)

    def solve(self, budget, rate, *more):
        return budget(self.shapes, self.owners, self.vectors, rate, *more)

    def small(self, widths):
        """(residual width, width of a head, FFN units), for a model where each is the same everywhere."""
        (e,) = {widths.lengths[name] for name in self.names("residual")}
        (d,) = {widths.lengths[v.name] / v.heads for v in self.vectors if v.kind in ("qk", "vo")}
        assert widths.lengths.keys() == set(self.names("residual", "qk", "vo"))
        return e, d, widths.ffn_units


REFERENCE = Transformer()
TINY = Transformer((128, 128), (256, 256), (4, 4), (2, 2), (600, 500))
LOPSIDED = Transformer((512, 256), (1024, 2048), (8, 4), (6, 3), (900, 700))
ONE_HEAD = Transformer((24, 40), (96, 30), (1, 5), (1, 4), (50, 300))
