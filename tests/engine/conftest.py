"""One thread per test process: the tensors of tests are so small that waking a second core costs more than it gives."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> None:
    torch.set_num_threads(1)
