"""``--optimizer srp_adam``: fairseq's Adam, never apex's."""

import pytest
import torch
from conftest import same_tensors
from fairseq.optim import adam

import fairseq_prune.optim.srp_adam as srp_adam

OPTIONS = ["--adam-betas", "(0.8, 0.98)", "--adam-eps", "1e-6", "--weight-decay", "0.1", "--disable-validation"]


def test_equals_adam_on_cpu(new_run):
    plain = new_run("adam").train(*OPTIONS)
    ours = new_run("srp_adam").train("--optimizer", "srp_adam", *OPTIONS, "--use-old-adam")
    assert same_tensors(plain["model"], ours["model"])
    assert same_tensors(plain["last_optimizer_state"], ours["last_optimizer_state"])
    other = new_run("other").train("--optimizer", "srp_adam", *OPTIONS, "--adam-eps", "1")  # control
    assert not same_tensors(plain["model"], other["model"])


class Fused(torch.optim.SGD):
    def __init__(self, params, use_fp16_stats, lr, **options):
        super().__init__(params, lr)


def test_never_fused(monkeypatch):
    monkeypatch.setattr(adam, "get_fused_adam_class", lambda: Fused)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cfg = adam.FairseqAdamConfig(adam_betas="(0.9, 0.98)", tpu=False, lr=[0.1])
    weight = torch.nn.Parameter(torch.ones(2, 3))
    assert isinstance(adam.FairseqAdam(cfg, [weight]).optimizer, Fused)  # control
    optimizer = srp_adam.SrpAdam(cfg, [weight])
    assert type(optimizer.optimizer) is adam.Adam
    weight.grad = torch.ones(2, 3)
    optimizer.step()
    moments = optimizer.optimizer.state[weight]
    assert moments["exp_avg"].shape == moments["exp_avg_sq"].shape == weight.shape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fp16-adam-stats"], "--fp16-adam-stats: .*use --optimizer adam"),
        (["--adam-betas", "0.9"], r"--adam-betas 0.9: give two numbers in \[0, 1\), e.g. '\(0.9, 0.98\)'"),
        (["--adam-betas", "(0.9, 1.5)"], "--adam-betas .0.9, 1.5.: give two"),
        (["--adam-betas", "0.9 0.98"], "--adam-betas 0.9 0.98: give two"),
        (["--adam-betas", "(0.9, 'a')"], "--adam-betas .*: give two"),
    ],
)
def test_mistakes(new_run, words, message):
    with pytest.raises(SystemExit, match=message) as caught:
        new_run().train("--optimizer", "srp_adam", "--disable-validation", *words)
    assert "\n" not in str(caught.value.code)
