"""The settings of the three profiles of `gibbs_ratio`."""

from types import MappingProxyType

from privacy_for_free.experiments.gibbs_ratio.design import Design

PROFILES = {
    "smoke": Design(
        sizes=(100, 300, 1000),
        images_per_class=(1, 5, 20),
        replicates=3,
        grid=(24, 64, 512),
        subset_sizes=(10, 30, 100, 300),
        largest_enumeration=500,
        chain_sizes=(100, 1000),
        chain_images=(1, 10),
        chain_replicates=2,
        removals=4,
        chains=32,
        burn_in=60,
        steps=60,
    ),
    "laptop": Design(
        sizes=(150, 300, 600, 1200, 2500, 5000),
        images_per_class=(1, 2, 5, 10, 20, 50),
        replicates=5,
        subset_sizes=(10, 20, 30, 50, 100, 300, 1000, 2500),
        chain_sizes=(150, 500, 1500, 5000),
        chain_images=(1, 5, 20, 50),
        chain_replicates=3,
    ),
    "paper": Design(
        sizes=(100, 200, 400, 800, 1600, 3000, 5000),
        images_per_class=(1, 2, 5, 10, 20, 50),
        replicates=20,
        pairs=64,
        subset_sizes=(10, 20, 30, 50, 100, 300, 1000, 2500, 5000),
        chain_sizes=(100, 200, 400, 800, 1600, 3000, 5000),
        chain_images=(1, 2, 5, 10, 20, 50),
        chain_replicates=10,
        removals=16,
        chains=2048,
        step=0.005,
        burn_in=400,
        steps=2000,
    ),
}

REDUCED = MappingProxyType(
    {
        "sizes": (150, 300),
        "images_per_class": (1, 5),
        "replicates": 1,
        "subset_sizes": (10, 30),
        "chain_sizes": (150,),
        "chain_images": (1, 50),
        "chains": 32,
        "burn_in": 40,
        "steps": 40,
    }
)
