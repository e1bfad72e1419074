"""The parts of VMService: a machine from the order to the recycle bin.

basis: what most of them are given · launch_request, launching, catalogue, sizes, quotas, payer: ordering · actions,
resizing, moving, bulk, bin, bin_sets, bin_queries: changing and deleting · operations, runs, records, sightings,
credit, strays: the worker's side · queries, searching, finding, fleet: reading.
"""
