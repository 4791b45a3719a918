"""A Celery broker over the ORM, for installations without Redis: one table, a lease per delivered message."""
