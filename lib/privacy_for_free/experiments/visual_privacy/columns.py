"""The columns of the table of `visual_privacy`, in order."""

from privacy_for_free.lab.experiment import Column, columns

COLUMNS: tuple[Column, ...] = (
    *columns(
        "method, init, ipc",
        (
            "how the sets were made; synthetic images per class. random_subset: real members. unseen: "
            "as many real images that are not in the pool"
        ),
    ),
    *columns(
        "metric",
        (
            "l2 (root mean square difference of pixel values in [0, 1]), ssim (1 - SSIM), lpips_alex, "
            "lpips_vgg. Smaller is nearer, under all of them. Empty for a picture that no metric chose"
        ),
    ),
    *columns(
        "reference",
        (
            "nearest_member, nearest_nonmember: distance to it. difference: the distance to the nearest "
            "non-member less that to the nearest member, positive where members are nearer. member_nearer: "
            "share of images whose nearest is a member, a tie counting half. initial: distance to the image "
            "it started from. initial_nearest: share of images whose nearest in the pool is that one. "
            "synthetic: a picture of the image itself"
        ),
    ),
    *columns(
        "mean, low, high",
        (
            "over the sets, with Student's t interval of 95 %. Of a picture of a neighbour `mean` is "
            "its distance"
        ),
    ),
    *columns("statistic", "mean (of a distance), share, or picture"),
    *columns(
        "population",
        (
            "all; or not_in_initialisation: without the members that the set started from, and "
            "without as many random non-members"
        ),
    ),
    *columns("iterations", "steps before which the images were looked at; the last is the end"),
    *columns("q05, q25, q50, q75, q95", "quantiles of a distance, over all images of all sets"),
    *columns(
        "images_low, images_high",
        (
            "of a share: exact (Clopper-Pearson) interval of 95 % with images taken as independent, which "
            "images of one set are not"
        ),
    ),
    *columns(
        "p_value",
        (
            "two-sided, of difference and member_nearer: flips of the signs of the sets' means (of a share, "
            "less one half), all where there are few enough. At least 2 / 2^K; not corrected for the number "
            "of comparisons"
        ),
    ),
    *columns(
        "sets, images, members",
        "K; synthetic images behind the row; members per class of a half, and as many non-members",
    ),
    *columns(
        "seconds",
        "to condense all sets; wall clock, empty where nothing was learnt",
        measured=True,
    ),
    *columns(
        "class_index, train_index",
        "of a picture: class of the synthetic image; which training image a real one is",
    ),
    *columns(
        "shape, picture",
        (
            "channels, height, width; 8-bit pixels, deflated, base64 (`data.image_text.read_image`). Of the "
            "first image of the first set, few classes"
        ),
    ),
)
