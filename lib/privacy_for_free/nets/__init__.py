"""Networks, their training, the augmentation of images, and networks of infinite width."""
