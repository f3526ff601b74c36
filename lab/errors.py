"""The exception of the lab."""


class LabError(Exception):
    """An error that the user can fix. Its message is one line: what is wrong, what was expected, what to do."""


ELSEWHERE = "or use your own cluster: --context NAME"
