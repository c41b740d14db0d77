"""Options of image classification that are explained before training."""

import pytest
from conftest import USER_DIR, run_fairseq
from digits import MLP, train


@pytest.mark.parametrize(
    "words, message",
    [
        ("--batch-size 0", "--batch-size: .*--batch-size 128"),
        ("--max-tokens 100", "--max-tokens 100: .*--batch-size 128"),
        ("--holdout 2", "--holdout 2.0: .*--holdout 0.1"),
        ("--image-set cifar", "--image-set cifar: .*did you mean 'cifar10'"),
        ("--label-smoothing 1", "--label-smoothing 1.0: .*--label-smoothing 0.1"),
        ("--aux-weight -1", "--aux-weight -1.0: "),
        ("--aux-weight 0.3", "--aux-weight 0.3: has no effect here; .* inception_v3"),
        ("--download", "--download: has no effect here; .* DATA cifar10"),
        ("--data-root nowhere", "--data-root nowhere: has no effect here; .* DATA cifar10"),
        ("--valid-subset validation", "'validation': there are train, valid and test"),
    ],
)
def test_mistakes_are_explained(tmp_path, words, message):
    with pytest.raises(SystemExit, match=message):
        train(tmp_path, *words.split())


def test_a_batch_size_has_to_be_given(tmp_path, digits_run):
    words = MLP.replace("--batch-size 64", "").split()
    with pytest.raises(SystemExit, match="--batch-size: .*--batch-size 128"):
        run_fairseq("train", "digits", "--user-dir", USER_DIR, *words, "--save-dir", tmp_path)
    with pytest.raises(SystemExit, match="--batch-size: .*--batch-size 128"):
        run_fairseq(
            "validate", "digits", "--user-dir", USER_DIR, "--task", "prune_image_classification",
            "--path", digits_run / "checkpoint_best.pt",
        )  # fmt: skip


def test_missing_data_are_explained(tmp_path):
    with pytest.raises(SystemExit, match="DATA nowhere: no such folder.*give e.g. digits"):
        train(tmp_path, data="nowhere")
    with pytest.raises(SystemExit, match="DATA cifar10: not in --data-root .*--download"):
        train(tmp_path, "--data-root", tmp_path, data="cifar10")
