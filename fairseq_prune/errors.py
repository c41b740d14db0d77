"""Users' mistakes as one line instead of a traceback."""

import contextlib

from .files.messages import one_line


@contextlib.contextmanager
def one_line_errors():
    """Turn the core's ValueErrors into an exit with a message and a status that is not 0."""
    try:
        yield
    except ValueError as error:
        raise SystemExit(one_line(error)) from None


@contextlib.contextmanager
def one_line_data_errors(path):
    """The same for data that fairseq does not find.

    Args:
        path: the DATA argument.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise SystemExit(f"DATA {path}: {error}; make it with fairseq-preprocess, e.g. data-bin/demo") from None
    except Exception as error:  # fairseq raises nothing more specific
        if "infer language pair" not in str(error):
            raise
        raise SystemExit(f"DATA {path}: no train.SRC-TGT files in it; make it with fairseq-preprocess") from None
