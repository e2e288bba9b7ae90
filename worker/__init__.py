"""The queue's edge: `celery -A worker worker --beat` reads the documents that wait, in processes of their own."""
