"""The pages of the book, and what builds it."""
