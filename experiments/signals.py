"""What other apps may listen to.

`experiment_finished` is sent with `experiment_id` by the runner, in the worker, while the stage is still `import`: the
experiment says "finished" only after every receiver has returned. After a crash it is sent again, so receivers must be
idempotent.
"""

from django.dispatch import Signal

experiment_finished = Signal()
