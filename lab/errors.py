"""The one exception of the lab."""


class LabError(Exception):
    """Something the user can act on: one line that says what was wrong, what was expected and what to do."""


ELSEWHERE = "or use a cluster of your own: --context NAME"
