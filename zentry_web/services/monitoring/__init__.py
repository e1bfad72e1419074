"""The parts of MonitoringService: figures of machines and consoles (store), and how workers and the hypervisor are
(processes).
"""
