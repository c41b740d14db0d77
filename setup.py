"""Install fairseq_prune. Use an editable install: `--user-dir` must find one copy of it only."""

from setuptools import find_packages, setup

# What a user of the core needs. With fairseq come PyYAML (through omegaconf), which reads recipes, and scipy (through
# scikit-learn), which finds assignments.
CORE = [
    "fairseq-fixed==0.12.3.1",  # provides `fairseq`, kept working on today's Python and torch
    "torch>=2.6",  # the first that loads checkpoints with weights_only=True by default
    "torchvision",
    "sacrebleu",
    "sacremoses",
    "subword-nmt",
    "numpy",
]

EXTRAS = {
    "vision": [
        "torch-pruning==1.6.1",  # finds the coupled channels of traced vision models
        "scikit-learn",  # bundles the digits that vision runs on offline
    ],
    "attack": ["foolbox>=3.3.4"],  # adversarial evaluation
    "plots": [
        "matplotlib",  # the figures of `fairseq-prune plot`
        "tensorboard",  # the curves of fairseq's `--tensorboard-logdir`
    ],
    "audio": ["soundfile"],  # reads the sounds of fairseq's audio tasks
    "deploy": [  # what `fairseq-prune export` writes for
        "ctranslate2",  # translates fast without fairseq or torch
        "onnx",  # a format of nets
        "onnxruntime",  # which runs it, so that it can be checked
    ],
    "sweep": ["optuna"],  # the trials of `fairseq-prune sweep`, which several machines may share
    "docs": [
        "mkdocs-material",  # the site of `make docs`
        "mkdocstrings[python]",  # its reference, from docstrings
    ],
    "dev": [
        "pytest",  # `make test`
        "pytest-timeout",
        "pytest-xdist",  # on all cores
        "ruff",  # `make lint`: style
        "mypy",  # and types
        "types-PyYAML",  # which has none itself
    ],
}
EXTRAS["all"] = sorted({package for extra in EXTRAS.values() for package in extra})

setup(
    name="fairseq-prune",
    version="0.1.0",
    description="A fairseq --user-dir that makes translation, language and vision models smaller and faster",
    license="MIT",
    packages=find_packages(include=["fairseq_prune", "fairseq_prune.*", "vision_bridge", "vision_bridge.*"]),
    python_requires=">=3.11",
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["fairseq-prune = fairseq_prune.cli.main:main"]},
)
