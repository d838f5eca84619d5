"""The columns of the table of `nonlinear_shift`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "extractor",
        (
            "convnet, convnet_gelu, mlp: a fresh one in every step, as in distribution matching; "
            "tanh: a small smooth one, kept; tanh_minimum: the same at a minimiser"
        ),
    ),
    *columns(
        "init, in_initialisation",
        (
            "noise or real; whether x is one of the images that T's set starts from (T without x then"
            " has another image in its place)"
        ),
    ),
    *columns(
        "n, m",
        ("real and synthetic images of the class"),
    ),
    *columns(
        "seed",
        ("the replicate: classes, order of the images, start, draws"),
    ),
    *columns(
        "shift",
        ("Frobenius norm of the difference of the two sets, standardised pixels"),
    ),
    *columns(
        "x",
        ("typical: an image of the class; mislabelled: one of another class with its label"),
    ),
    *columns(
        "iterations",
        ("steps after which the shift was measured; empty at a minimiser"),
    ),
    *columns(
        "shift_image, shift_largest",
        ("mean and largest norm over the m images"),
    ),
    *columns(
        "moved",
        ("mean norm of how far T's images came from their start"),
    ),
    *columns(
        "loss",
        ("of T's set, at the last step"),
    ),
    *columns(
        "output_change",
        (
            "convnet, last step: two ConvNets with one start and order, trained on the two sets and "
            "on one synthetic set of another class; root mean square change of the difference of "
            "their two logits, over test images of both classes"
        ),
    ),
    *columns(
        "output_reseeded, output_spread",
        (
            "the same between two trainings of T's set with different starts and orders; standard "
            "deviation of that difference over test images"
        ),
    ),
    *columns(
        "probability_change",
        ("largest change of a probability over the test images"),
    ),
    *columns(
        "bound, bound_proved",
        (
            "of the theorem, with constants measured along the two runs, and with proved ones; at a "
            "minimiser c / (mu n)"
        ),
    ),
    *columns(
        "predicted, mu, c, Lambda",
        (
            "first order of the shift of a minimiser; smallest eigenvalue of the Hessian; the "
            "theorem's constants"
        ),
    ),
    *columns(
        "networks, delta, gradient, gradient_change",
        (
            "norm of the gradient of the loss, averaged over so many networks, and of its change when"
            " S moves by delta in a random direction"
        ),
    ),
    *columns(
        "seconds",
        ("for all sets of the task"),
        measured=True,
    ),
)
