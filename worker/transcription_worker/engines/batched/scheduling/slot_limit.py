"""How many windows a decode batch may hold: fewer where they failed together, and more again after a while."""

# Windows that each slot decodes before more slots are tried again, at first and at most.
FIRST_PATIENCE = 4
LONGEST_PATIENCE = 256


class SlotLimit:
    """The limit of one batch, at most `most`.

    It is halved where memory runs out and doubled once the windows that fit were decoded for a while: whoever else used the
    memory may be gone. A limit that proves too high again is tried half as often from then on.
    """

    def __init__(self, most: int) -> None:
        self.slots = self._most = most
        self._decoded, self._patience = 0, FIRST_PATIENCE
        self._raised = False

    def lower(self, slots: int) -> None:
        """Allow no more slots than these, since more failed."""
        if self._raised:
            self._patience = min(LONGEST_PATIENCE, 2 * self._patience)
        self.slots, self._decoded, self._raised = max(1, slots), 0, False

    def count(self, windows: int) -> None:
        """Count windows that were decoded, and raise the limit if they are enough."""
        if self.slots == self._most:
            return
        self._decoded += windows
        if self._decoded >= self._patience * self.slots:
            if self._raised:  # what was tried last has proved right
                self._patience = max(FIRST_PATIENCE, self._patience // 2)
            self.slots, self._decoded, self._raised = min(self._most, 2 * self.slots), 0, True

    def reset(self) -> None:
        """Allow all slots again: what failed was not for want of memory, and has been found."""
        self.slots, self._decoded, self._raised = self._most, 0, False
