"""Real training: image data, NATS-Bench's recipe, the training loop, many trainings at a time.

``data`` loads the data sets (``loaders`` makes ours: ``archives`` reads their files, ``downloads``
fetches them, ``splits`` says which image is for what), ``batches`` augments on the device,
``recipe`` says how to train, ``trainer`` trains one network or several together, each a ``member``,
by the ``step``, which a GPU replays as it was ``captured``; ``checkpoint`` keeps a training,
``record`` is what it returns.
``batched`` trains many architectures in processes that stay; ``final`` one in full, which is kept.
"""

from __future__ import annotations
