"""Multi-head attention of any widths and number of heads."""

from typing import Any

import torch
from fairseq.incremental_decoding_utils import FairseqIncrementalState
from fairseq.modules import MultiheadAttention
from torch import Tensor, nn
from torch.nn import functional as F

from ..pruning.devices import on_host
from .connectivity import ConnectedLinear, Connectivity, InputScaledLinear, OutputScaledLinear, joined

CACHED = "prev_key", "prev_value", "prev_key_padding_mask"
Cache = dict[str, dict[str, Tensor | None]]  # fairseq's, of keys and values


class AnyWidthAttention(FairseqIncrementalState, nn.Module):
    """Attention whose query/key and value widths may differ from each other and from that of the stream.

    Stands in for fairseq's ``MultiheadAttention``, with the same parameter names. Widths come from the tensors'
    shapes at each call; the scale of the scores stays that of the original block.

    Args:
        attention: the block whose projections it takes over.

    Attributes:
        num_heads: heads (count), that split both widths.
    """

    num_heads: int

    def __init__(self, attention: MultiheadAttention):
        super().__init__()
        self.scaling, self.encoder_decoder_attention = attention.scaling, attention.encoder_decoder_attention
        self.dropout_module = attention.dropout_module
        self.k_proj, self.v_proj = attention.k_proj, attention.v_proj
        self.q_proj, self.out_proj = attention.q_proj, attention.out_proj
        self.beam_size = 1

    def set_beam_size(self, beam_size: int) -> None:
        """Tell, as fairseq's generators do, how many hypotheses in a row have the same source (count)."""
        self.beam_size = beam_size

    def forward(  # noqa: PLR0913  (fairseq's layers call it so)
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        incremental_state: Cache | None = None,
        need_weights: bool = True,
        static_kv: bool = False,
        attn_mask: Tensor | None = None,
        need_head_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query: float tensor [target length, batch, width].
            key: float tensor [source length, batch, width].
            value: the same tensor as ``key``.
            key_padding_mask: bool tensor [batch, source length], True = padding.
            incremental_state: fairseq's cache of keys and values.
            need_weights: also return the attention probabilities.
            static_kv: keys and values stay those of the first step.
            attn_mask: float tensor [target length, source length], added to the scores.
            need_head_weights: return the probabilities of each head, not their mean.

        Returns:
            (output like ``query``, probabilities [(heads,) batch, target length, source length] or None).
        """
        single = static_kv or incremental_state is not None  # as fairseq's, whose softmax is then float32
        beams = self.beam_size if static_kv and incremental_state is not None else 1
        if known := static_kv and self._get_input_buffer(incremental_state):
            queries, keys, values, padding = self.q_proj(query), *(known[name] for name in CACHED)
        else:
            repeated = beams > 1 and key.size(1) == query.size(1)  # BART's sources are not, for their hypotheses
            same = beams if repeated else 1
            queries, keys, values = self._project(query, key, same)
            padding = key_padding_mask if key_padding_mask is None else key_padding_mask[::same].bool()
            keys, values, padding = self._keys_and_values(keys, values, padding, incremental_state, static_kv)
        queries = _join_beams(self._split_heads(queries), beams)
        mask = _mask(attn_mask, padding, queries.dtype)
        if not (single or need_weights or need_head_weights):
            context, probabilities = self._fused(queries, keys, values, mask), None
        else:
            scores = queries * self.scaling @ keys
            scores = scores if mask is None else scores + mask
            precision = torch.float32 if single else torch.promote_types(scores.dtype, torch.float32)
            probabilities = scores.softmax(3, dtype=precision).type_as(scores)
            context = _part_beams(self.dropout_module(probabilities) @ values, beams)
        output = self.out_proj(context.permute(2, 0, 1, 3).flatten(2))
        if not (need_weights or need_head_weights):
            return output, None
        weights = _part_beams(probabilities, beams).transpose(0, 1)
        return output, weights if need_head_weights else weights.mean(0)

    def _fused(self, queries, keys, values, mask):
        """As torch computes it where nobody asks for probabilities; where all is padding, 0."""
        dropout = self.dropout_module
        rate = dropout.p if dropout.training or dropout.apply_during_inference else 0.0
        return F.scaled_dot_product_attention(queries, keys.transpose(2, 3), values, mask, rate, scale=self.scaling)

    def _split_heads(self, x):
        """[length, batch, heads * d] -> [batch, heads, length, d]."""
        return x.view(*x.shape[:2], self.num_heads, x.size(2) // self.num_heads).permute(1, 2, 0, 3)

    def _project(self, query, key, same):
        """Queries, and keys and values of each of so many equal sources once, each [length, batch, width]."""
        key = key[:, ::same]
        return self.q_proj(query), self.k_proj(key), self.v_proj(key)

    def _keys_and_values(self, keys, values, padding, incremental_state, static):
        """Keys [batch, heads, d, source length], values [batch, heads, source length, d], padding.

        With what the cache holds of them. It keeps static keys as they are multiplied: on CPUs that product is up to
        ten times as fast as one with a transposed view.
        """
        keys, values = self._split_heads(keys), self._split_heads(values)
        if cache := self._get_input_buffer(incremental_state):
            padding = _join_padding(cache["prev_key_padding_mask"], padding, cache["prev_key"], keys)
            keys = torch.cat([cache["prev_key"], keys], 2)
            values = torch.cat([cache["prev_value"], values], 2)
        factors = keys.transpose(2, 3)
        if incremental_state is not None:
            if static:
                keys = factors = factors.contiguous()
            cache = dict(zip(CACHED, (keys, values, padding), strict=True))
            self._set_input_buffer(incremental_state, cache)
        return factors, values, padding

    upgrade_state_dict_named = MultiheadAttention.upgrade_state_dict_named  # old checkpoints: q, k, v in one

    def reorder_incremental_state(self, incremental_state: Cache, new_order: Tensor) -> Cache:
        """Rearrange the cache when beam search rearranges hypotheses (``new_order``: int64 [batch]).

        Hypotheses change places within their sentence, where all read the same source: what attention to
        the encoder keeps, once a sentence, is only touched when sentences leave the batch. (As in fairseq's.)
        """
        cache = self._get_input_buffer(incremental_state)
        if self.encoder_decoder_attention:
            new_order = new_order[:: self.beam_size] // self.beam_size
            if cache and len(cache["prev_key"]) == len(new_order):
                return incremental_state
        cache = {name: None if t is None else t.index_select(0, new_order) for name, t in cache.items()}
        if cache:
            self._set_input_buffer(incremental_state, cache)
        return incremental_state

    def _get_input_buffer(self, incremental_state):
        read: Any = self.get_incremental_state  # fairseq's, which has no types
        return read(incremental_state, "attn_state") or {}

    def _set_input_buffer(self, incremental_state, cache):
        write: Any = self.set_incremental_state
        write(incremental_state, "attn_state", cache)


class ConnectedAttention(AnyWidthAttention):
    """Attention with connectivity on the query/key and on the value dimensions, both of which may be cut, down to zero.

    Args:
        attention: the block whose projections it takes over.
        qk: :class:`~.connectivity.Connectivity` of the query/key dimensions, head-major.
        vo: that of the value dimensions.
    """

    def __init__(self, attention: MultiheadAttention, qk: Connectivity, vo: Connectivity):
        super().__init__(attention)
        self.num_heads = attention.num_heads
        self.k_proj, self.v_proj = ConnectedLinear(attention.k_proj), ConnectedLinear(attention.v_proj)
        self.q_proj = OutputScaledLinear(attention.q_proj, qk)
        self.out_proj = InputScaledLinear(attention.out_proj, vo)

    def _project(self, query, key, same):
        """In as few products as there are inputs, where launches count and weights are not joined for a single step."""
        if on_host(query) or not torch.is_grad_enabled():
            return super()._project(query, key, same)
        if query is key:
            return joined(query, self.q_proj, self.k_proj, self.v_proj)
        return self.q_proj(query), *joined(key, self.k_proj, self.v_proj)


def _join_beams(x, beams):
    """[batch * beams, heads, length, d] -> [batch, heads, beams * length, d]."""
    return x if beams == 1 else x.unflatten(0, (-1, beams)).transpose(1, 2).flatten(2, 3)


def _part_beams(x, beams):
    """[batch, heads, beams * length, d] -> [batch * beams, heads, length, d]."""
    return x if beams == 1 else x.unflatten(2, (beams, -1)).transpose(1, 2).flatten(0, 1)


def _mask(attn_mask, padding, dtype):
    """What is added to the scores, [(batch, 1,) target or 1, source length]; None: nothing."""
    mask = None if attn_mask is None else attn_mask.to(dtype)
    if padding is None:
        return mask
    blind = torch.zeros_like(padding, dtype=dtype).masked_fill_(padding, float("-inf"))[:, None, None]
    return blind if mask is None else blind + mask


def _join_padding(before, now, keys_before, keys_now):
    """Padding of cached and new keys together; None stands for no padding."""
    if before is None and now is None:
        return None
    parts = ((before, keys_before), (now, keys_now))
    return torch.cat(
        [k.new_zeros(len(k), k.size(2), dtype=torch.bool) if mask is None else mask for mask, k in parts], 1
    )
