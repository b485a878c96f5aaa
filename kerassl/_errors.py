"""The one exception that means: a person gave something that kerassl cannot use."""


class UserError(ValueError):
    """A person's mistake, told in one line: what was wrong, what is accepted, what to do.

    It is a `ValueError` for whoever calls from Python; the `kerassl` command prints it without a traceback and
    exits with status 2.

    Args:
        message: str, the line.
        shell: str or None. The line for the command line, where its advice differs: flags in place of arguments.
    """

    def __init__(self, message="", shell=None):
        super().__init__(message)
        self.shell = str(message) if shell is None else shell
