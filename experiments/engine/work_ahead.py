"""Work that goes on in a thread of its own while the caller does something else: on a GPU, on a stream of its own.

Never run on a GPU by the tests: they hold the thread to its promises on a processor, and the order of the calls to
streams with fakes.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from queue import SimpleQueue
from typing import Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
THREAD_NAME = "work ahead"


class SideStream:
    """A stream of a GPU beside the one on which everything else is computed; on other devices nothing at all.

    One for all the work of its kind: memory that a stream has let go of is used again on the same stream only.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it open

    def follow(self) -> None:
        """What is computed here from now on comes after all that the caller's stream has been given."""
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Computes here, and waits for it in the end."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield
            self._stream.synchronize()

    def hand_over(self, tensors: Iterable[Tensor]) -> None:
        """The caller's stream goes on with `tensors` that were made here: their memory stays theirs so long."""
        if self._stream is not None:
            for tensor in tensors:
                tensor.record_stream(torch.cuda.current_stream(self._device))


class WorkAhead(Generic[Result]):
    """Runs a generator to its end in a thread. Who needs the result waits for it, and hears what the work says."""

    def __init__(self, work: Generator[int, None, Result], stream: SideStream) -> None:
        self._work, self._stream = work, stream
        self._said: SimpleQueue[int | None] = SimpleQueue()
        self._is_stopped = threading.Event()
        self._result: list[Result] = []
        self._error: BaseException | None = None
        self._threads = torch.get_num_threads()
        stream.follow()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME)
        self._thread.start()

    def finished(self) -> Generator[int, None, Result]:
        """Yields what the work yields and returns what it returns. Raises what it raised, as it was raised."""
        while (said := self._said.get()) is not None:
            yield said
        if self._error is not None:
            raise self._error
        return self._result[0]

    def stop(self) -> None:
        """Ends the work at what it says next, and waits until the thread is gone."""
        self._is_stopped.set()
        self._thread.join()

    def _run(self) -> None:
        torch.set_num_threads(self._threads)  # a thread has a number of its own, and the last bits depend on it
        try:
            with self._stream.entered():
                self._to_the_end()
        except BaseException as error:  # whoever waits raises it
            self._error = error
        finally:
            self._said.put(None)

    def _to_the_end(self) -> None:
        with closing(self._work):
            while not self._is_stopped.is_set():
                try:
                    self._said.put(next(self._work))
                except StopIteration as end:
                    self._result.append(end.value)
                    return
