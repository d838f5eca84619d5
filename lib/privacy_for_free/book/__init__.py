"""What the book is drawn from: chapters, figures, claims and published figures."""
