"""When one rank dies, the others end too.

With gloo, the others would fail at their next exchange; with NCCL, they would wait for ten minutes; and a rank that is
computing would notice nothing. So each rank keeps a connection to the first one, which the system closes when the
process ends, for whatever reason. fairseq's spawn and torchrun watch the processes of one machine; this also covers
those that are started by hand.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from torch import distributed

from .patching import patch_once

if TYPE_CHECKING:
    from omegaconf import DictConfig


GRACE = 3.0  # seconds that a rank has to fail by itself, or to finish writing a checkpoint
PATIENCE = 60.0  # seconds that all ranks have to connect
DONE = b"d"

logger = logging.getLogger(__name__)


def install() -> None:
    """Make the ranks of every fairseq command watch each other."""
    from fairseq.distributed import utils

    patch_once(utils, "call_main", _together)


def _together(call_main):
    def call(cfg, main, **kwargs):
        return call_main(cfg, Together(main), **kwargs)

    return call


class Together:
    """A fairseq ``main`` during which this process ends if another rank does. A class, since spawn pickles it."""

    def __init__(self, main: Callable[..., Any]):
        self._main = main

    def __call__(self, cfg: DictConfig, **kwargs: Any) -> Any:
        with watched_peers(cfg.distributed_training.distributed_init_method):
            return self._main(cfg, **kwargs)


@contextlib.contextmanager
def watched_peers(init_method: str) -> Iterator[None]:
    """End this process with exit code 1 if another rank ends or fails before it has finished this block.

    Args:
        init_method: how the ranks found each other, e.g. ``tcp://host:port`` with the first rank's host.

    Raises:
        OSError: another rank cannot be reached.
    """
    if not (distributed.is_initialized() and distributed.get_world_size() > 1):
        yield
        return
    peers = _join_first() if distributed.get_rank() else _gather_others(init_method)
    for peer in peers:
        os.register_at_fork(after_in_child=peer.close)  # a data loader's worker may outlive the rank by 5 s
    threading.Thread(target=_watch, args=(peers,), daemon=True).start()
    yield  # no "finally": if this rank fails, the others must end
    for peer in peers:
        with contextlib.suppress(OSError):
            peer.send(DONE)


def _gather_others(init_method):
    """On the first rank: its connections to all others."""
    host = urlsplit(init_method).hostname or os.environ.get("MASTER_ADDR") or socket.gethostname()
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    with socket.create_server(("", 0), family=family, dualstack_ipv6=dual) as server:
        server.settimeout(PATIENCE)
        distributed.broadcast_object_list([host, server.getsockname()[1]])
        peers = [server.accept()[0] for _ in range(distributed.get_world_size() - 1)]
    for peer in peers:
        peer.settimeout(None)
    return peers


def _join_first():
    """On every other rank: its connection to the first one, in a list."""
    address: list[Any] = [None, None]
    distributed.broadcast_object_list(address)
    peer = socket.create_connection((address[0], address[1]), PATIENCE)
    peer.settimeout(None)
    return [peer]


def _watch(peers):
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            selector.register(peer, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                if _receive(key.fileobj) != DONE:
                    logger.error("another rank has ended: this one ends too")
                    time.sleep(GRACE)
                    os._exit(1)
                selector.unregister(key.fileobj)


def _receive(peer):
    try:
        return peer.recv(1)
    except OSError:  # connection reset
        return b""
