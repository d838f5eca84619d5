"""The columns of the table of `nonlinear_shift`, in order."""

from privacy_for_free.lab.experiment import Column, columns

_OUTPUTS = "for the ConvNet, after the last step: of networks trained to tell the class from another one, "

COLUMNS: tuple[Column, ...] = (
    Column(
        "extractor",
        "convnet, convnet_gelu, mlp: a fresh network in every step, as in distribution matching; tanh: a "
        "small smooth one that is kept; tanh_minimum: the same at a minimiser",
    ),
    Column("init", "what the synthetic images started from: noise or real"),
    Column(
        "in_initialisation",
        "whether x is one of the images that T's set starts from; T without x then has another image in its "
        "place there",
    ),
    Column("n", "real images of the class, x included; in rows with a `delta`, of the set matched"),
    Column("m", "synthetic images of the class"),
    Column("seed", "the replicate, with its own classes, order of the images, starts and draws"),
    Column(
        "shift",
        "Frobenius norm of the difference of the sets condensed from T and from T without x, standardised "
        "pixels",
    ),
    Column(
        "x",
        "the image that goes: typical, an image of the class; mislabelled, one of another class with this "
        "label",
    ),
    Column("iterations", "steps after which the shift was measured; empty at a minimiser"),
    *columns("shift_image, shift_largest", "mean and largest norm of the difference over the m images"),
    Column("moved", "mean norm of how far T's m images came from their start, standardised pixels"),
    Column("loss", "of T's set, at the last step"),
    Column(
        "output_change",
        f"{_OUTPUTS}with one start and order of batches, on either set: root mean square difference of their "
        "answers (the difference of the two logits) over test images of both classes",
    ),
    Column(
        "output_reseeded",
        f"{_OUTPUTS}both on T's set, with different starts and orders: as `output_change`",
    ),
    Column(
        "output_spread",
        "standard deviation over test images of the answers of the network trained on T's set",
    ),
    Column("probability_change", "as `output_change`: the largest difference of a probability, 0 to 1"),
    Column(
        "bound",
        "of the theorem on `shift`, with constants measured along the two runs; at a minimiser c / (mu n)",
    ),
    Column("bound_proved", "the same with constants that are proved for all runs"),
    Column("predicted", "at a minimiser: first order of `shift`, by the implicit function theorem"),
    Column("mu", "at a minimiser: the smallest eigenvalue of the Hessian"),
    *columns(
        "c, Lambda",
        "the theorem's constants, as measured along the two runs; at a minimiser c is n times the difference "
        "of the two gradients there",
    ),
    Column("networks", "the number of networks that the loss is averaged over, in rows with a `delta`"),
    Column("delta", "how far all of the synthetic images moved in a random direction, Frobenius norm"),
    Column("gradient", "norm of the gradient of the averaged loss, before they moved"),
    Column("gradient_change", "norm of its change when they moved by `delta`"),
    Column("seconds", "wall clock of the condensation of all sets of the task", measured=True),
)
