"""What people and programs read: tables and sentences, Markdown summaries, annotations of GitHub Actions."""
