"""Whatever measures: speed, ideas, other recipes. No notebook and no helper imports it."""
