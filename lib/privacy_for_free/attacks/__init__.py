"""Membership inference: from what an attacker measures to rates with intervals.

Statistics of K models on N examples and the K x N membership matrix go in. Every model is the target once,
with the other K - 1 as its shadows; scores are K x N, higher for members. `roc` turns them into rates,
`audit` rates into a lower bound on epsilon.
"""
