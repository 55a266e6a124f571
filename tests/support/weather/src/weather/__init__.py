"""Weather datasets, updated by CronJobs."""
