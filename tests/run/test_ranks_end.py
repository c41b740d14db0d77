"""When one rank ends too early, all end, with an error."""

import time
from types import SimpleNamespace

import pytest
from conftest import TINY, USER_DIR
from ranks import distributed, started, train

from fairseq_prune.compat.peers import Together

SECONDS = 10  # that the others may take
# far more updates than fit in the test
FOR_EVER = f"""--task prune_translation --arch transformer {TINY} --optimizer sgd --lr 0.01 --batch-size 8 --cpu
    --criterion cross_entropy --max-update 1000000 --disable-validation --no-save --log-format simple --log-interval 1
    --prune-method magnitude --prune-target 0.5 --user-dir {USER_DIR}""".split()


def meet(rank, file, count):
    from torch import distributed

    distributed.init_process_group("gloo", f"file://{file}", rank=rank, world_size=count)
    return SimpleNamespace(distributed_training=SimpleNamespace(distributed_init_method=f"file://{file}"))


def busy(rank, file, count, watched=True):
    """A rank that exchanges nothing for a long time."""

    def main(cfg):
        print("busy", flush=True)
        time.sleep(60)

    cfg = meet(rank, file, count)
    Together(main)(cfg) if watched else main(cfg)


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("count, victim", [(2, 0), (2, 1), (4, 2)])
def test_a_killed_rank_ends_those_that_are_busy(tmp_path, count, victim):
    with started(count, busy, tmp_path / "file", count) as ranks:
        until(lambda: all("busy" in text for text in ranks.printed))
        ranks.processes[victim].kill()
        assert ranks.wait(SECONDS)
        assert [code for rank, code in enumerate(ranks.codes) if rank != victim] == [1] * (count - 1)
        assert all("another rank has ended" in text for rank, text in enumerate(ranks.printed) if rank != victim)


def test_without_the_watch_they_go_on(tmp_path):
    with started(2, busy, tmp_path / "file", 2, False) as ranks:
        until(lambda: all("busy" in text for text in ranks.printed))
        ranks.processes[1].kill()
        assert not ranks.wait(4) and ranks.codes[0] is None


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_a_training(parallel, tmp_path, victim):
    words = [str(parallel), *FOR_EVER, *distributed(2, tmp_path)]
    with started(2, train, words) as ranks:
        until(lambda: "num_updates=" in ranks.printed[0])
        ranks.processes[victim].kill()
        assert ranks.wait(SECONDS)
        assert ranks.codes[1 - victim] == 1


def failing(rank, file):
    def main(cfg):
        if rank == 1:
            raise SystemExit("a file is missing here")
        time.sleep(60)

    Together(main)(meet(rank, file, 2))


def test_a_rank_that_fails_ends_the_others(tmp_path):
    with started(2, failing, tmp_path / "file") as ranks:
        assert ranks.wait(30) and ranks.codes == [1, 1]
        assert "a file is missing here" in ranks.printed[1]


def through(rank, file):
    Together(lambda cfg: time.sleep(4 * rank))(meet(rank, file, 2))


def test_a_rank_that_is_through_ends_nobody(tmp_path):
    with started(2, through, tmp_path / "file") as ranks:
        assert ranks.wait(30) and ranks.codes == [0, 0]
