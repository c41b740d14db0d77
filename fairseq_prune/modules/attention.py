"""Multi-head attention whose query/key and value widths differ."""

from typing import Any

import torch
from fairseq.incremental_decoding_utils import FairseqIncrementalState
from fairseq.modules import MultiheadAttention
from torch import Tensor, nn

from .connectivity import ConnectedLinear, Connectivity, InputScaledLinear, OutputScaledLinear

Cache = dict[str, dict[str, Tensor | None]]  # fairseq's, of keys and values


class ConnectedAttention(FairseqIncrementalState, nn.Module):
    """Attention with connectivity on the query/key and on the value dimensions.

    Stands in for fairseq's ``MultiheadAttention`` inside its Transformer layers, with the same
    parameter names. Widths come from the tensors' shapes at each call, so both may be cut, down to
    zero; the number of heads and the scale of the scores stay those of the original block.

    Args:
        attention: the block whose projections it takes over.
        qk: :class:`~.connectivity.Connectivity` of the query/key dimensions, head-major.
        vo: that of the value dimensions.
    """

    def __init__(self, attention: MultiheadAttention, qk: Connectivity, vo: Connectivity):
        super().__init__()
        self.num_heads, self.head_dim, self.scaling = attention.num_heads, attention.head_dim, attention.scaling
        self.encoder_decoder_attention = attention.encoder_decoder_attention
        self.dropout_module = attention.dropout_module
        self.k_proj, self.v_proj = ConnectedLinear(attention.k_proj), ConnectedLinear(attention.v_proj)
        self.q_proj = OutputScaledLinear(attention.q_proj, qk)
        self.out_proj = InputScaledLinear(attention.out_proj, vo)
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
        beams = self.beam_size if static_kv and incremental_state is not None else 1
        keys, values, padding = self._keys_and_values(key, key_padding_mask, incremental_state, static_kv, beams)
        queries = _join_beams(self._split_heads(self.q_proj(query) * self.scaling), beams)
        scores = queries @ keys
        if attn_mask is not None:
            scores = scores + attn_mask
        if padding is not None:
            scores = scores.masked_fill(padding[:, None, None], float("-inf"))
        precision = torch.float32 if static_kv else torch.promote_types(scores.dtype, torch.float32)  # as fairseq's
        probabilities = scores.softmax(3, dtype=precision).type_as(scores)
        context = _part_beams(self.dropout_module(probabilities) @ values, beams)
        output = self.out_proj(context.permute(2, 0, 1, 3).flatten(2))
        if not (need_weights or need_head_weights):
            return output, None
        weights = _part_beams(probabilities, beams).transpose(0, 1)
        return output, weights if need_head_weights else weights.mean(0)

    def _split_heads(self, x):
        """[length, batch, heads * d] -> [batch, heads, length, d]."""
        return x.view(*x.shape[:2], self.num_heads, x.size(2) // self.num_heads).permute(1, 2, 0, 3)

    def _keys_and_values(self, key, padding, incremental_state, static, beams):
        """Keys [batch / beams, heads, d, source length], values [batch / beams, heads, source length, d], padding.

        With what the cache holds of them. It keeps static keys as they are multiplied: on CPUs that product is up to
        ten times as fast as one with a transposed view.
        """
        cache = self._get_input_buffer(incremental_state)
        if static and cache:
            return cache["prev_key"], cache["prev_value"], cache["prev_key_padding_mask"]
        key, padding = key[:, ::beams], None if padding is None else padding[::beams]
        keys, values = self._split_heads(self.k_proj(key)), self._split_heads(self.v_proj(key))
        padding = padding.bool() if padding is not None else None
        if cache:
            padding = _join_padding(cache["prev_key_padding_mask"], padding, cache["prev_key"], keys)
            keys = torch.cat([cache["prev_key"], keys], 2)
            values = torch.cat([cache["prev_value"], values], 2)
        factors = keys.transpose(2, 3)
        if incremental_state is not None:
            if static:
                keys = factors = factors.contiguous()
            cache = {"prev_key": keys, "prev_value": values, "prev_key_padding_mask": padding}
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


def _join_beams(x, beams):
    """[batch * beams, heads, length, d] -> [batch, heads, beams * length, d]."""
    return x if beams == 1 else x.unflatten(0, (-1, beams)).transpose(1, 2).flatten(2, 3)


def _part_beams(x, beams):
    """[batch, heads, beams * length, d] -> [batch * beams, heads, length, d]."""
    return x if beams == 1 else x.unflatten(2, (beams, -1)).transpose(1, 2).flatten(0, 1)


def _join_padding(before, now, keys_before, keys_now):
    """Padding of cached and new keys together; None stands for no padding."""
    if before is None and now is None:
        return None
    parts = ((before, keys_before), (now, keys_now))
    return torch.cat(
        [k.new_zeros(len(k), k.size(2), dtype=torch.bool) if mask is None else mask for mask, k in parts], 1
    )
