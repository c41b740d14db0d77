"""`fairseq-prune`, run in this process."""

import json

import pytest

from fairseq_prune.cli.main import main


def refused(*words):
    """The one line in which a command ends."""
    with pytest.raises(SystemExit) as caught:
        main([*map(str, words)])
    assert "\n" not in caught.value.code
    return caught.value.code


def reported(capsys, *words):
    """What a command prints with ``--json``."""
    capsys.readouterr()
    main([*map(str, words), "--json"])
    return json.loads(capsys.readouterr().out)
