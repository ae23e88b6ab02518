"""Mixup and CutMix by timm, driven by a seed instead of numpy's global stream."""

from __future__ import annotations

import numpy as np
from timm.data import Mixup
from torch import Tensor


class Mixing:
    """Mix the images of a batch and their labels with parameters drawn from a seed.

    One draw serves the whole batch; where both kinds are on, CutMix has ``switch`` of the batches
    (Zhang et al. 2018, mixup; Yun et al. 2019, CutMix).

    Args:
        mixup: Beta parameter of mixup; 0 is off.
        cutmix: Beta parameter of CutMix; 0 is off.
        smoothing: label smoothing.
        classes: number of classes.
        chance: that a batch is mixed at all.
        switch: chance of CutMix, of a batch that could be mixed either way.
    """

    def __init__(
        self,
        *,
        mixup: float,
        cutmix: float,
        smoothing: float,
        classes: int,
        chance: float = 1.0,
        switch: float = 0.5,
    ) -> None:
        self._mixup = Mixup(
            mixup_alpha=mixup,
            cutmix_alpha=cutmix,
            prob=chance,
            switch_prob=switch,
            label_smoothing=smoothing,
            num_classes=classes,
        )

    def __call__(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return mixed images (changed in place) and soft targets ``[batch, classes]``.

        timm draws from numpy's global stream: it is seeded for the call and then put back.
        """
        before = np.random.get_state()
        np.random.seed(seed % 2**32)
        try:
            mixed: tuple[Tensor, Tensor] = self._mixup(images, labels)
        finally:
            np.random.set_state(before)
        return mixed
