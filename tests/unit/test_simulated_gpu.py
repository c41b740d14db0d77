"""The simulated GPU refuses what a card refuses, and computes what the CPU does."""

import copy
import functools
import io
import sys
import threading
from pathlib import Path

import pytest
import torch
from ranks import finished

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "gpu"))
from simulated import simulated_gpu  # noqa: E402

CHECKS = {}


def on_gpu(check):
    """A test in a process of its own, which has computed no gradients and does not go on with torch's new device."""

    @functools.wraps(check)
    def test(**given):
        finished(1, run_check, check.__name__, given)

    CHECKS[check.__name__] = check
    return test


def run_check(rank, name, given):
    with simulated_gpu():
        CHECKS[name](**given)


def on_card():
    return torch.arange(6.0).view(2, 3).cuda()


HERE, INDEX = torch.ones(2, 3), torch.tensor([1, 0])
MIXED = {
    "sum": lambda there: there + HERE,
    "product": lambda there: HERE.mul_(there),
    "matrices": lambda there: there @ HERE.t(),
    "many": lambda there: torch._foreach_add([there], [HERE]),
    "joined": lambda there: torch.cat([there, HERE]),
    "numbers joined": lambda there: torch.stack([there.sum(), torch.tensor(1.0)]),
    "a number is written": lambda there: torch.tensor(1.0).add_(there.sum()),
    "values are put": lambda there: there.__setitem__(INDEX, HERE),
    "index of the card": lambda there: HERE[INDEX.cuda()],
    "layer": lambda there: torch.nn.Linear(3, 1)(there),
    "recurrent layer": lambda there: torch.nn.LSTM(3, 1)(there),
    "numpy": lambda there: there.numpy(),
}


@pytest.mark.parametrize("name", MIXED)
@on_gpu
def test_devices_do_not_mix(name):
    with pytest.raises((RuntimeError, TypeError), match="one device|numpy"):
        MIXED[name](on_card())


@on_gpu
def test_numbers_and_indices_come_from_the_cpu():
    there = on_card()
    assert (there * torch.tensor(2.0))[INDEX].cpu().tolist() == [[6, 8, 10], [0, 2, 4]]
    there[INDEX] = torch.tensor(1.0).cuda()
    assert there.masked_fill(there > 0, torch.tensor(3.0)).tolist() == [[3, 3, 3]] * 2


@on_gpu
def test_what_is_made_there_stays_there():
    there = on_card()
    assert (there.is_cuda, there.device, HERE.is_cuda) == (True, torch.device("cuda", 0), False)
    made = [torch.zeros(1, device="cuda"), torch.tensor([1], device=there.device), torch.empty_like(there), there.sum(),
            there.new_tensor([1]), torch.nn.Parameter(there), copy.deepcopy(there)]  # fmt: skip
    assert {tensor.device for tensor in made} == {there.device}
    assert there.cpu().device == torch.device("cpu") and HERE.to(there).device == there.device


@on_gpu
def test_a_model_learns_as_on_the_cpu():
    torch.manual_seed(1)
    here = torch.nn.Sequential(torch.nn.Embedding(5, 4), torch.nn.LSTM(4, 4), torch.nn.Linear(4, 5))
    here[2].weight = torch.nn.Parameter(here[2].weight[:, :4])
    there = copy.deepcopy(here).cuda()
    for model, words in ((here, torch.arange(5)), (there, torch.arange(5).cuda())):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model[2](model[1](model[0](words))[0]), words.flip(0)).backward()
            optimizer.step()
    for name, value in here.state_dict().items():
        assert there.state_dict()[name].is_cuda and there.state_dict()[name].cpu().equal(value), name


@on_gpu
def test_shared_parameters_stay_shared():
    model = torch.nn.ModuleList([torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)])
    weight = model[0].weight = model[1].weight
    own = model.own = torch.nn.Parameter(torch.ones(1))
    normed = torch.nn.utils.weight_norm(model[1], "bias", dim=None).bias_g
    model.cuda()
    assert weight is model[0].weight is model[1].weight and weight.is_cuda
    assert own is model.own and own.is_cuda and normed is model[1].bias_g and normed.is_cuda


@on_gpu
def test_what_is_written_in_place_is_seen_through_views():
    there = on_card()
    view, memory = there.view(-1)[1:3], there.data_ptr()
    view.data.mul_(10)
    assert there.tolist() == [[0, 10, 20], [3, 4, 5]] and there.data_ptr() == memory
    there.data = torch.ones(3).cuda()
    assert (there.shape, there.tolist()) == ((3,), [1, 1, 1])


@on_gpu
def test_files_hold_numbers():
    there = on_card()
    file = io.BytesIO()
    torch.save({"there": there}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["there"].equal(there.cpu())


@on_gpu
def test_other_threads_see_it_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.zeros(1, device="cuda").device))
    thread.start()
    thread.join()
    assert found == [torch.device("cuda", 0)]
