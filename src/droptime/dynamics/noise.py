"""The simple gradient noise scale, from the sums of a pass over mini-batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from droptime.dynamics.jackknife import Rows, left_out, standard_error, with_others
from droptime.dynamics.values import Value
from droptime.errors import StatsError


@dataclass(frozen=True)
class NoiseScale(Value):
    """The batch size at which the noise of a gradient is as large as the gradient.

        B = batch * noise / signal

        signal = (||sum g_i||^2 - sum ||g_i||^2) / (n (n - 1))      estimates ||E g||^2
        noise = mean ||g_i||^2 - signal                             estimates E ||g - E g||^2

    Both parts are unbiased; their ratio is not quite, so average parts over steps before dividing.

    Attributes:
        value: ``B``, in examples (in mini-batches if no batch size was given).
        signal: squared norm of the expected mini-batch gradient.
        noise: total variance of a mini-batch gradient.

    Source: McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch
    Training", section 2.2 and appendix A.1.
    """

    signal: float
    noise: float


def simple_noise_scale(
    sum_square: float, norms: Rows, rows: Rows, batch_size: float = 1.0
) -> NoiseScale:
    """The noise scale from ``||sum g_i||^2``, the norms ``[n]`` and sketched ``g_i / ||g_i||``.

    Raises:
        StatsError: the signal is not above 0: the gradients do not agree beyond chance.
    """
    n, powers = len(norms), norms**2
    total = sum_square - float(powers.sum())
    signal = total / (n * (n - 1))
    if signal <= 0:
        raise StatsError(
            f"The noise scale of {n} gradients is not defined: on average they point apart "
            f"(signal {signal:.3g}, not above 0). Give more gradients or larger mini-batches."
        )
    noise = float(powers.mean()) - signal
    error = math.inf
    if n > 2:
        signals = left_out(with_others(rows, norms), total)
        if (signals > 0).all():
            without = (powers.sum() - powers) / (n - 1)
            error = standard_error(np.asarray(without / signals))
    return NoiseScale(
        value=batch_size * noise / signal,
        standard_error=batch_size * error,
        n=n,
        signal=signal,
        noise=noise,
    )
