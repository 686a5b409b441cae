"""What systems leave behind in folders, and nobody means as data."""

_LITTER = {
    name.lower()
    for name in (
        "Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$RECYCLE.BIN", "RECYCLER",
        "System Volume Information",  # Windows
        "__MACOSX", "Icon\r", "Network Trash Folder", "Temporary Items",  # macOS
        "lost+found",  # Linux
        "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "@__thumb",  # network storage
        "Picasa.ini",
    )
}  # fmt: skip


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left behind by a system; the case plays no part."""
    return name.startswith(".") or name.lower() in _LITTER
