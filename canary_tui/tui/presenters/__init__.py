"""What the screens say, as pure functions: records in, words and tones out. No Textual here."""
