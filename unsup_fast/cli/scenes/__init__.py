"""The commands of captioned scenes."""
