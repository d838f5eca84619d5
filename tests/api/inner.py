"""Public functions that take data and are no entrances: what entrances call, for these reasons.

"room.module.function": why it checks nothing, keeps histories, or is called with plain arguments only.
"""

STEP = "one of the steps of a descent, in which its caller's arguments are plain"
CHECK = "a check that entrances make"
LOSS = "differentiated, vectorised or compiled by its callers: keeps the history of its arguments"
FILES = "reads or writes files: its arrays are the library's own"
PART = "a part of an entrance, with what that has checked"
ORDER = "sums in the order of its arguments' layout, as records did before there were entrances"

INNER = {
    "attacks.confidences.check_labels": CHECK,
    "attacks.confidences.check_models": CHECK,
    "attacks.image_distance.lpips.framed": PART,
    "attacks.image_distance.metrics.checked": CHECK,
    "attacks.image_distance.metrics.same_type": PART,
    "attacks.optimality.extractors.centred": PART,
    "attacks.optimality.extractors.checked": CHECK,
    "attacks.optimality.solving.boxed": PART,
    "attacks.optimality.solving.project": PART,
    "attacks.optimality.system.costs": PART,
    "attacks.optimality.whitening.low_rank": PART,
    "condensation.gan.discriminator_loss": LOSS,
    "condensation.gan.fit": STEP,
    "condensation.gradient_matching.distance": LOSS,
    "condensation.kip.draw_targets": STEP,
    "condensation.loop.fingerprint": PART,
    "condensation.loop.descend": STEP,
    "condensation.loop.finish": PART,
    "condensation.problem.digest": PART,
    "condensation.problem.number_of_classes": CHECK,
    "data.embedded.choose": FILES,
    "data.fairface.without_duplicates": FILES,
    "data.files.check_labels": CHECK,
    "data.files.arrays_sha256": FILES,
    "data.files.write_npz": FILES,
    "data.files.cached": FILES,
    "data.image_text.write_image": FILES,
    "nets.augmentation.apply": LOSS,
    "nets.networks.check_labels": CHECK,
    "nets.networks.instance_norm": LOSS,
    "nets.weights.check": CHECK,
    "nets.weights.plain_weights": CHECK,
    "private.dp_merf.fourier": LOSS,
    "private.dp_merf.initial": PART,
    "private.dp_merf.forward": LOSS,
    "private.dp_sgd.gradients": STEP,
    "private.noisy_condensation.matching.descend_on": STEP,
    "private.noisy_condensation.matching.match": STEP,
    "private.noisy_condensation.matching.finite": CHECK,
    "private.noisy_condensation.members.check": CHECK,
    "private.noisy_condensation.members.check_range": CHECK,
    "private.noisy_condensation.members.labels_of": PART,
    "private.noisy_condensation.members.members_of": PART,
    "private.noisy_condensation.members.class_samples": PART,
    "private.noisy_condensation.sums.clip": LOSS,
    "private.noisy_condensation.sums.clip_by_constant": LOSS,
    "private.noisy_condensation.sums.noisy_sums": PART,
    "private.noisy_condensation.sums.clipped_sums": PART,
    "private.noisy_condensation.sums.sampling_rate": CHECK,
    "private.noisy_condensation.sums.poisson_sample": PART,
    "theory.answers.batch": CHECK,
    "theory.answers.extractors": CHECK,
    "theory.answers.features": CHECK,
    "theory.answers.finite": CHECK,
    "theory.answers.optimiser": CHECK,
    "theory.answers.returned": CHECK,
    "theory.checks.floats": CHECK,
    "theory.checks.replaced": CHECK,
    "theory.checks.spread": CHECK,
    "theory.gibbs.logistic_loss": LOSS,
    "theory.kernel.mmd_squared": LOSS,
    "theory.langevin.network_loss": LOSS,
    "theory.langevin.reflect": STEP,
    "theory.linear.matching_loss": LOSS,
    "theory.linear_case.exact": ORDER,
    "theory.stability.loss": LOSS,
    "theory.stability.gradient": STEP,
    "theory.stability.hessian": STEP,
}
WORST_CASES = ("linear", "ldpdc", "ndpdc", "one_release", "merf", "sgd")
INNER |= dict.fromkeys((f"private.worst_case.{name}" for name in WORST_CASES), PART)
