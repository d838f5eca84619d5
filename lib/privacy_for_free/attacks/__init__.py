"""Membership inference: from what an attacker measures to rates with intervals.

Statistics of K models on N examples (`confidences` of networks, or of sets `released_images` and `tracing`)
and the K x N membership matrix go in. Every model is the target once, with the other K - 1 as its shadows:
`lira` and `threshold` return scores, K x N, higher for members. `roc` turns scores into rates, `epsilon`
rates into a lower bound on epsilon, and `power` says how many members a rate takes. `evaluation` is all of
this for the attacks of the book by their names. `image_distance` is about pictures: what is nearest to what.
"""
