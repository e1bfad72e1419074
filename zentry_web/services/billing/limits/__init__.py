"""What happens when credits end: budgets of projects, and the landing (with landing_reads) of machines whose owner runs
out.
"""
