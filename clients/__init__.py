"""What speaks to the API over HTTP; nothing here imports another package of ours."""
