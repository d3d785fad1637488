"""The screen of `watch`: a board that remembers a bounded view of the last minutes, and a thin renderer."""
