"""The chunks of `toy_spread`'s tasks: a number each."""

import json

import toy_spread


def chunks(task, parameters, dataset, device):
    return list(range(toy_spread.CHUNKS))


def run_chunk(chunk, task, parameters, dataset, seed, device):
    toy_spread.mark(dataset, f"{task}-{chunk}")
    return {"value": toy_spread.value(task, chunk, seed)}


def assemble(chunks, found, parameters, dataset, seed, device, checkpoint):
    checkpoint.write_text(json.dumps([one["value"] for one in found]))
